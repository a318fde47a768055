"""Names of files by a template such as ``{site}_{patient}_{*}``, which stands for a regular expression."""

import re
from collections.abc import Sequence

from flower_dgan.errors import ConfigError, unknown_name

PLACES = {"split": "split", "site": "site", "patient": "group", "scene": "group", "group": "group"}
"""What a template may name, and what it is called where origins are read."""

ANYTHING = "*"
_REST = "{*}"
_SPLITS = {"tr", "train", "te", "test"}
_PLACE = re.compile(r"\{([^\W\d]\w*|\*)\}")


def is_template(pattern: str) -> bool:
    """Return whether a text is a template; ``{2}`` and ``{2,}`` of a regular expression make it none."""
    return _PLACE.search(pattern) is not None


def as_expression(template: str) -> str:
    """Return a template as a regular expression with the groups ``split``, ``site`` and ``group``.

    A place ends where the sign that follows it in the template comes for the first time, and holds at least one
    character; ``{*}`` is anything, also nothing.

    Parameters
    ----------
    template : str
        Text, in which ``{split}``, ``{site}``, ``{patient}`` (or ``{scene}``, ``{group}``) and ``{*}`` stand for parts
        of a file's stem.

    Returns
    -------
    str
        What :func:`re.fullmatch` takes.

    Raises
    ------
    ConfigError
        If a place is unknown or there twice, or if nothing is between two.

    Examples
    --------
    >>> from flower_dgan.data.name_template import as_expression
    >>> as_expression("{site}_{patient}_{*}")
    '(?P<site>[^_]+)_(?P<group>[^_]+)_.*'
    """
    if apart := re.search(r"\}\{", template):
        raise ConfigError(
            f"data.name_pattern={template!r} has nothing between two places, at {apart.start() + 1}: nobody could tell "
            "where one ends."
        )
    before, *parts = _PLACE.split(template)
    seen: set[str] = set()
    made = [re.escape(before)]
    for place, after in zip(parts[::2], parts[1::2], strict=True):
        made += [_part(place, after, template, seen), re.escape(after)]
    return "".join(made)


def _part(place: str, after: str, template: str, seen: set[str]) -> str:
    if place == ANYTHING:
        return ".*"
    if place not in PLACES:
        raise ConfigError(f"{unknown_name('place in data.name_pattern', place, [*PLACES, ANYTHING])}")
    if (field := PLACES[place]) in seen:
        raise ConfigError(f"data.name_pattern={template!r} names the {field} twice.")
    seen.add(field)
    return f"(?P<{field}>{f'[^{re.escape(after[0])}]+' if after else '.+'})"


def propose(names: Sequence[str]) -> str | None:
    """Return a template that fits all names and finds two sites or more, or two patients; None if none is in sight.

    Names must have equally many parts between underscores, or else hyphens. A part with no values but ``tr``,
    ``train``, ``te`` and ``test`` is the split; the first one after it that is shared by three images on average is
    the site, and the next one that is shared by any within a site is the patient.

    Parameters
    ----------
    names : sequence of str
        Stems of files.
    """
    for sign in "_-":
        columns = list(zip(*(name.split(sign) for name in names), strict=False))
        if len(columns) > 1 and {name.count(sign) for name in names} == {len(columns) - 1}:
            places = _guess(columns)
            if {"{site}", "{patient}"} & set(places) and all(map(all, columns)):
                last = max(number for number, place in enumerate(places) if place != _REST)
                kept = places[: last + 1] + ([_REST] if last + 1 < len(places) else [])
                return sign.join(kept)
    return None


def _guess(columns: Sequence[Sequence[str]]) -> list[str]:
    places, free = [], ["{site}", "{patient}"]
    for number, column in enumerate(columns):
        values = set(column)
        parts = set(zip(*columns[: number + 1], strict=True))  # a patient's number may be another site's, too
        if values <= _SPLITS:
            places.append("{split}")
        elif free and len(values) > 1 and len(parts) <= len(column) / (3 if len(free) == 2 else 1.01):
            places.append(free.pop(0))
        else:
            places.append(_REST)
    return places
