"""What the owner of a node calls where data lie and what their names say: entries of the node configuration."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from flower_dgan.errors import ConfigError, DataError

_ENTRIES = {
    "name_pattern": "name-pattern",
    "table": "table",
    "root": "data-path",
    "train_splits": "train-splits",
    "test_splits": "test-splits",
    "sites": "sites",
}
_SETTING = re.compile(rf"(?<![\w/.-])data\.({'|'.join(_ENTRIES)})(?![\w-]|\.\w)")


def as_entries(text: str) -> str:
    """Return a sentence about data with each setting that an owner alone decides as the node's entry for it.

    The training's setting of that name comes from the server, and is not looked at.
    """
    found, count = _SETTING.subn(lambda match: _ENTRIES[match[1]], text)
    if not count:
        return text
    return found.replace("name-pattern=null", 'name-pattern="none"') + " Change it in the node configuration."


@contextmanager
def told_as_entries() -> Iterator[None]:
    """Tell what the body finds wrong with data as :func:`as_entries`; raises the same ConfigError or DataError."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise type(error)(as_entries(str(error))) from error
