"""JSON and YAML that others wrote, or that a power cut left: read as plain values, or refused by a ValueError."""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from flower_dgan.data.text_files import read_text

_TOO_DEEP = "it is nested too deeply"


def read_json(path: Path) -> Any:
    """Read a JSON file in UTF-8, UTF-16 or UTF-32.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or is none; says why.
    """
    return parse_json(read_text(path))


def parse_json(text: str | bytes) -> Any:
    """Return what a text in JSON says; raises ValueError if it is none."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


class Once(yaml.SafeLoader):
    """Refuses a mapping with a key that comes twice, of which others take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Look at the keys, then make the mapping."""
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if twice := next((key for place, key in enumerate(keys) if key in keys[:place] and key != "<<"), None):
                raise ValueError(f"it says '{twice}' twice: keep one")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, loader: type[Once] = Once) -> Any:
    """Read a YAML file in UTF-8, UTF-16 or UTF-32, of plain values; one that says a thing twice says nothing.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or is none; says why, in one line.
    """
    text = read_text(path)
    try:
        return yaml.load(text, loader)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except (yaml.YAMLError, TypeError) as error:  # TypeError where a list is a key
        raise ValueError(" ".join(str(error).split())) from error
