"""Templates of file names say what the regular expressions say that they stand for."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_dgan.config import DataConfig
from flower_dgan.data.name_template import as_expression, is_template, propose
from flower_dgan.data.origins import Origin, read_origins
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.resolve import resolve


def settings(pattern: str) -> DataConfig:
    return resolve(f"data=folder data.root=/data 'data.name_pattern={pattern}'").data


@pytest.mark.parametrize(
    ("template", "name", "origin"),
    [
        ("{split}_{site}_{patient}_{*}", "tr_breast_p7_0", Origin("tr", "breast", "p7")),
        ("{site}-{scene}", "vienna-12", Origin(None, "vienna", "12")),
        ("{patient}", "p 1", Origin(None, "all", "p 1")),
        ("slide.{site} ({group}){*}", "slide.a (3)", Origin(None, "a", "3")),
        ("{*}_{site}", "a_b_c", Origin(None, "c", "a_b_c")),
    ],
)
def test_places_are_read(template: str, name: str, origin: Origin, tmp_path: Path) -> None:
    assert read_origins([name], tmp_path, settings(template)) == {name: origin}


@pytest.mark.parametrize("pattern", ["(?P<site>[a-z]{2})_.*", "(?P<site>a{2,})", "(?P<site>a{,3})"])
def test_a_regular_expression_stays_one(pattern: str) -> None:
    assert not is_template(pattern)
    assert settings(pattern).name_pattern == pattern


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{site}{patient}", "nothing between two places, at 6"),
        ("{hospital}_{*}", "place in data.name_pattern"),
        ("{patient}_{scene}", "names the group twice"),
        ("{*}", "says nothing of an image"),
    ],
)
def test_templates_that_say_nothing_sure_are_refused(template: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        read_origins(["a_b"], tmp_path, settings(template))


@given(
    st.lists(st.from_regex(r"[^_\n]+", fullmatch=True), min_size=3, max_size=3), st.sampled_from(["_", "-", ".", "+"])
)
def test_parts_that_lack_the_sign_come_back(parts: list[str], sign: str) -> None:
    parts = [part.replace(sign, "x") for part in parts]
    match = re.fullmatch(as_expression(sign.join(("{site}", "{patient}", "{*}"))), sign.join(parts))
    assert match is not None
    assert [match["site"], match["group"]] == parts[:2]


@pytest.mark.parametrize(
    ("names", "template"),
    [
        ([f"{s}_p{p}_{t}" for s in ("a", "b") for p in (1, 2) for t in range(3)], "{site}_{patient}_{*}"),
        ([f"test-{s}-{t}" for s in ("a", "b") for t in range(3)], "{split}-{site}-{*}"),
        (["one", "two"], None),
        (["a_b", "a_b_c"], None),
        (["a_1", "b_2"], None),
    ],
)
def test_a_template_is_proposed_where_one_is_in_sight(names: list[str], template: str | None, tmp_path: Path) -> None:
    assert propose(names) == template
    if template is not None:
        assert len({origin.site for origin in read_origins(names, tmp_path, settings(template)).values()}) == 2
        with pytest.raises(DataError, match=re.escape(f"All names would fit data.name_pattern={template}.")):
            read_origins(names, tmp_path, settings("no{split}"))
