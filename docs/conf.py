"""How the documentation site is built: `make docs`."""

import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from outside import read_page
from settings_tables import settings_in_words

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "flower-dgan"
author = "The flower-dgan authors"
copyright = author
release = version = installed_version("flower-dgan")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.doctest"]
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = f"flower-dgan {release}"

myst_heading_anchors = 4
myst_enable_extensions = ["substitution"]
napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types, shapes and ranges
doctest_test_doctest_blocks = "default"


class Generated(SphinxDirective):
    """Put Markdown where the directive stands that is made of the code."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return its sections."""
        return self.parse_text_to_nodes(self.markdown(), allow_section_headings=True)

    def markdown(self) -> str:
        """Return the text."""
        raise NotImplementedError


class Settings(Generated):
    """All settings: ``{settings}``."""

    def markdown(self) -> str:
        """Return groups and tables."""
        return settings_in_words()


class Commands(Generated):
    """The command line: ``{commands}``."""

    def markdown(self) -> str:
        """Return what typer writes of all commands, without the heading of the page."""
        ask = [sys.executable, "-m", "typer", "flower_dgan.cli.main", "utils", "docs", "--name", "flower-dgan"]
        told = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        return told.partition("\n")[2].replace("$ flower-dgan", "flower-dgan").replace("```console", "```text")


def setup(app: "Sphinx") -> None:
    """Let Sphinx read what this site has beside pages."""
    app.add_directive("settings", Settings)
    app.add_directive("commands", Commands)
    app.connect("source-read", _read)


def _read(app: "Sphinx", name: str, source: list[str]) -> None:
    source[0] = read_page(source[0], Path(app.env.doc2path(name)))
