"""Names of the user's own in place of shipped ones."""

from typing import NewType

ImportPath = NewType("ImportPath", str)
"""``module:attribute`` of the user's own in place of a shipped name, see ``flower_dgan.plugins``."""
