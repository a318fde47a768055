"""The version is the same wherever it stands."""

import re
import tomllib
from pathlib import Path

import yaml

from flower_dgan import __version__

ROOT = Path(__file__).resolve().parents[2]


def test_package_citation_and_changelog_name_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changed = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert changed is not None
    assert {project["version"], cited["version"], changed[1]} == {__version__}
