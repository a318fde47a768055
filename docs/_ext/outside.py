"""Pages of the site that lie outside of ``docs/``, and links that lead there.

The pages are written to be read as they are, in a checkout: their links are relative paths to files of the repository.
Here they become links inside the site.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

PAGES: Mapping[str, str] = {
    "README.md": "start.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the repository, and the pages of ``docs/`` that include them."""

_INCLUDE = re.compile(r"^```\{include\} (\S+)\n```$", re.MULTILINE)
_CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?://|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")


def read_page(text: str, page: Path) -> str:
    """Return a page as the site has it: included files in their places, and links between pages of the site.

    Parameters
    ----------
    text : str
        Of a page of ``docs/``, in Markdown.
    page : Path
        Its file.

    Raises
    ------
    FileNotFoundError
        If a file that it includes, or links to, is not there.
    """

    def included(found: re.Match[str]) -> str:
        file = (page.parent / found[1]).resolve()
        return rebased(file.read_text(encoding="utf-8"), file, page)

    return _INCLUDE.sub(included, rebased(text, page, page))


def rebased(text: str, origin: Path, page: Path) -> str:
    """Return Markdown of one file with the links that lead to the same places from another.

    A link to a file that a page of the site includes leads to that page; one to another file of the repository lets
    the reader download it; one to a folder, which is no page, is named instead.
    """
    parts = _CODE.split(text)
    for index in range(0, len(parts), 2):  # what lies between is code
        parts[index] = _LINK.sub(lambda found: _link(found, origin, page), parts[index])
    return "".join(parts)


def _link(found: re.Match[str], origin: Path, page: Path) -> str:
    target = (origin.parent / found[2]).resolve()
    if not target.exists():
        raise FileNotFoundError(f"{origin} links to {found[2]}, which is not there")
    inside = target.relative_to(ROOT)
    if target.is_dir():
        return f"{found[1]} (`{inside}/`)" if str(inside).rstrip("/") not in found[1] else found[1]
    if (name := PAGES.get(str(inside))) is not None:
        target = DOCS / name
    words = rebased(found[1], origin, page)
    return f"[{words}]({os.path.relpath(target, page.parent)}{found[3] or ''})"
