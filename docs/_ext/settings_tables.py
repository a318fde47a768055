"""Every setting in a table, from the dataclasses that read it and the files of ``conf/`` that hold its value."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Interval

from flower_dgan.config import AlgorithmSettings, Config
from flower_dgan.config.places import conf_directory
from flower_dgan.config.ranges import Because
from flower_dgan.resolve import resolve

_ATTRIBUTE = re.compile(r"^(\w[\w, ]*?) : .*$")
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?([\w.]+)`")


def settings_in_words() -> str:
    """Return the page of all settings, in Markdown: groups, and a table of each dataclass."""
    parts = ["## Groups", "", *_groups(), "", "## At the top", "", *_table(Config, resolve(""), "")]
    default = resolve("")
    for field in fields(Config):
        value = getattr(default, field.name)
        if is_dataclass(value) and field.name != "algorithm":
            parts += ["", f"## {field.name}", "", _summary(type(value)), "", *_table(type(value), value, field.name)]
    parts += ["", "## algorithm", "", "All algorithms have these; the values are those of `algorithm=dgan`.", ""]
    parts += _table(AlgorithmSettings, default.algorithm, "algorithm")
    common = {field.name for field in fields(AlgorithmSettings)}
    kinds: dict[type[AlgorithmSettings], list[str]] = {}
    for file in _files("algorithm"):
        if file.stem != "base":
            kinds.setdefault(type(_algorithm(file.stem)), []).append(file.stem)
    for kind, names in kinds.items():
        if {field.name for field in fields(kind)} - common:
            parts += ["", f"### {', '.join(names)}", "", _summary(kind), ""]
            parts += _table(kind, _algorithm(names[0]), "algorithm", but=common)
    return "\n".join(parts) + "\n"


def _algorithm(name: str) -> AlgorithmSettings:
    """Return the settings of a file in ``conf/algorithm/``, those with losses on real pixels too."""
    chosen = f"algorithm={name}"
    if name in (parts := {"dpmerf": "moments", "dpgan": "dp-sgd"}):
        chosen = f"privacy={parts[name]} data.condition=none downstream=none"
    return resolve(f"{chosen} allow_pixel_losses=true").algorithm


def described_attributes(kind: type) -> dict[str, str]:
    """Return what the docstrings of a dataclass and of its bases say of each attribute, as one line of Markdown."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        lines = inspect.cleandoc(base.__doc__ or "").splitlines() if is_dataclass(base) else []
        names: list[str] = []
        for line in lines[lines.index("Attributes") + 2 :] if "Attributes" in lines else ():
            if (head := _ATTRIBUTE.match(line)) is not None:
                names = [name.strip() for name in head[1].split(",")]
            elif line.startswith("    "):
                for name in names:
                    found[name] = f"{found[name]} {line.strip()}" if name in found else line.strip()
    return {name: _markdown(text) for name, text in found.items()}


def _markdown(text: str) -> str:
    return _ROLE.sub(r"`\1`", text).replace("``", "`")


def _summary(kind: type) -> str:
    return _markdown(" ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split()))


def _files(group: str) -> list[Path]:
    return sorted((conf_directory() / group).glob("*.yaml"))


def _groups() -> Iterator[str]:
    yield "| choose | among |"
    yield "|---|---|"
    for folder in sorted(path for path in conf_directory().iterdir() if path.is_dir()):
        yield f"| `{folder.name}=` | {', '.join(f'`{file.stem}`' for file in _files(folder.name))} |"


def _table(kind: type, values: Any, group: str, but: set[str] | frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield a table's lines: setting, what it may be, its value, and what its docstring says."""
    hints, said = get_type_hints(kind, include_extras=True), described_attributes(kind)
    yield "| setting | may be | value | what |"
    yield "|---|---|---|---|"
    for field in fields(kind):
        value = getattr(values, field.name)
        if field.name in but or (is_dataclass(value) and not group):
            continue
        cells = (
            f"`{group}.{field.name}`" if group else f"`{field.name}`",
            in_words(hints[field.name]),
            f"`{_plain(value)}`",
            said.get(field.name, ""),
        )
        yield f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Return a text as a cell of a table has it; what is no code holds no tag."""
    parts = text.replace("|", "&#124;").split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


def _plain(value: Any) -> str:
    """Return a value as it is written in a configuration."""
    plain = [list(each) if isinstance(each, tuple) else each for each in value] if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=1000, allow_unicode=True).removesuffix("...\n").strip()


def in_words(hint: Any) -> str:
    """Return what values a type allows, such as ``int in [0, 64]`` or ``a or b``."""
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        limits = "".join(f" in {_interval(each)}" for each in more if isinstance(each, Interval))
        reason = "".join(f" ({each.reason})" for each in more if isinstance(each, Because))
        return f"{in_words(inner)}{limits}{reason}"
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    if hint is type(None):
        return "`null`"
    if get_origin(hint) in (tuple, Mapping):
        return f"list of {in_words(get_args(hint)[0])}"
    if get_origin(hint) is not None:  # a union
        return " or ".join(in_words(each) for each in get_args(hint))
    return {"str": "text", "bool": "`true`, `false`", "ImportPath": "import path"}.get(
        getattr(hint, "__name__", ""), getattr(hint, "__name__", str(hint))
    )


def _interval(limits: Interval) -> str:
    low = f"[{limits.ge:,}" if limits.ge is not None else f"({limits.gt:,}"
    high = f"{limits.le:,}]" if limits.le is not None else f"{limits.lt:,})" if limits.lt is not None else "∞)"
    return f"{low}, {high}"
