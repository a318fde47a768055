"""The page's own files: HTML, style and scripts, none of which comes from elsewhere."""

from functools import cache
from importlib.resources import files

SCRIPTS = (
    "uplot.min.js",
    "base.js",
    "source.js",
    "charts.js",
    "training.js",
    "samples.js",
    "federation.js",
    "privacy.js",
    "pad.js",
    "testing.js",
    "runs.js",
    "node.js",
    "main.js",
)
"""In the order in which they run."""
STYLES = ("uplot.min.css", "style.css")

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
STATIC = {name: _TYPES[name[name.rindex(".") :]] for name in (*SCRIPTS, *STYLES)}
"""The files that the server gives, and what they are."""


@cache
def static_file(name: str) -> bytes:
    """Return one of the page's files."""
    return files("flower_dgan.watch").joinpath("static", name).read_bytes()


def page(head: str = "", end: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    head, end : str
        What stands in the place of links to styles and scripts, and behind the body; links if not given.
    """
    links = "".join(f'<link rel="stylesheet" href="static/{name}">\n' for name in STYLES)
    links += "".join(f'<script defer src="static/{name}"></script>\n' for name in SCRIPTS)
    text = static_file("page.html").decode("utf-8")
    return text.replace("<!-- head -->", head or links).replace("<!-- end -->", end)
