"""What clients and their files may be called."""

from pathlib import Path
from unicodedata import category, normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_dgan.comparison.image_sets import POOLED
from flower_dgan.data import Entry, named_clients, partition
from flower_dgan.data.digits import DigitsSource
from flower_dgan.errors import ConfigError, DataError, DganError, ProtocolError
from flower_dgan.names import (
    LONGEST_NAME,
    RESERVED,
    check_name,
    file_stem,
    file_stems,
    inside,
    is_reserved,
    portable_stem,
)
from flower_dgan.node.node import open_node
from flower_dgan.node.state import ClientState
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import NodeDescription

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=80)
# Near the border of what is allowed, and near each other.
_LETTERS = "abABß\u017féÖж東\u09661 ._-+(),'\u2019&/\\\0\n\u0301\u202e\u3164$<"
NEAR = st.text(st.sampled_from(_LETTERS), min_size=1, max_size=8)


def accepted(text: str) -> bool:
    try:
        check_name(text)
    except ConfigError:
        return False
    return True


VALID = st.one_of(NEAR, ANYTHING).filter(accepted)


@pytest.mark.parametrize(
    "name",
    [
        "clinic-a", "labels 0-4", "0 of 2", "digit-7", "all", "part-0", "St. Mary (3)", "Krankenhaus Köln & Söhne",
        "Поликлиника № 3", "клиника" * 7, "東京大学病院", "नमस्ते", "O'Neil, A+B", "x" * LONGEST_NAME,
    ],
)  # fmt: skip
def test_names_that_clients_have(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("x" * 65, "has 65 characters"),
        ("x" * 100_000, "has 100,000 characters"),
        ("../../../elsewhere", r"the character '/' \(U\+002F\)"),
        ("Unit 1/2", r"the character '/'"),
        ("a\\b", r"U\+005C"),
        (".", "begins with '.'"),
        ("..", "begins with '.'"),
        (".hidden", "begins with '.'"),
        ("-rf", "begins with '-'"),
        ("_private", "begins with '_'"),
        ("a\0b", r"U\+0000"),
        ("a\nb", r"'\\n' \(U\+000A\)"),
        ("\x1b[31mred", r"'\\x1b' \(U\+001B\)"),
        ("Bonn ", r"ends with ' ' \(U\+0020\)"),
        ("Bonn  Nord", "two blanks together"),
        ("Bonn\u00a0Nord", r"'\\xa0' \(U\+00A0\)"),
        ("Bonn\u200b", r"U\+200B"),
        ("Bonn\u3164", r"U\+3164"),
        ("\u202egnp.exe", r"'\\u202e' \(U\+202E\)"),
        ("Z\udcfcrich", r"'\\udcfc' \(U\+DCFC\)"),
        ("Ko\u0308ln", "composed form"),
        (r"$\frac{1}{2}$", r"'\$'"),
        ("<script>", "'<'"),
        ("[x](javascript:alert(1))", r"'\['"),
        ("`x`", "'`'"),
        ("a|b", "U\\+007C"),
        ("server", "something else"),
        ("Server", "something else"),
        ("node 12345678901234567890", "something else"),
        (POOLED, "something else"),
    ],
)
def test_names_that_are_none(name: str, problem: str) -> None:
    with pytest.raises(ProtocolError, match=problem) as caught:
        check_name(name, ProtocolError)
    assert str(caught.value).isprintable()
    assert "letter or digit, and its last one too, or a closing bracket" in str(caught.value)


@given(st.one_of(NEAR, ANYTHING))
def test_no_accepted_name_is_a_path_or_hides_anything(text: str) -> None:
    if not accepted(text):
        return
    assert Path(text).name == text
    assert not set(text) & set('/\\\0:$<>|`*[]{}"%~#')
    assert not {category(each) for each in text} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert text.strip() == text == normalize("NFC", text)
    assert len(text.encode()) <= 4 * LONGEST_NAME


@given(st.lists(st.one_of(VALID, ANYTHING), max_size=8))
@settings(max_examples=200)
def test_stems_of_a_federation_are_unique_safe_and_short(names: list[str]) -> None:
    stems = file_stems(names)
    assert set(stems) == set(names)
    for stem in stems.values():
        assert Path(stem).name == stem
        assert stem.isprintable()
        assert len(stem.encode()) <= 200
        assert not set(stem) & set("/\\\0_ .:")
    alike = {normalize("NFKC", normalize("NFKC", stem).casefold()) for stem in stems.values()}
    assert len(alike) == len(stems)
    for name in names:  # whatever their order
        assert file_stems(reversed(names))[name] == stems[name]


@given(st.sets(st.one_of(VALID, ANYTHING), max_size=8))
def test_a_stem_by_itself_is_nobody_elses(names: set[str]) -> None:
    stems = [file_stem(name) for name in names]
    assert len({normalize("NFKC", normalize("NFKC", stem).casefold()) for stem in stems}) == len(names)
    for stem in stems:
        assert Path(stem).name == stem
        assert stem not in ("", ".", "..")
        assert len(stem.encode()) <= 200


def test_stems_can_be_read() -> None:
    assert file_stems(["labels 0-4", "St. Mary (3)", "Köln"]) == {
        "labels 0-4": "labels-0-4",
        "St. Mary (3)": "St-Mary-3",
        "Köln": "Köln",
    }
    alike = file_stems(["clinic_a", "clinic a", "Bonn", "bonn", "c"])
    assert alike["c"] == "c"
    assert [stem.split("~")[0] for stem in alike.values()] == ["clinic-a", "clinic-a", "Bonn", "bonn", "c"]
    assert file_stem("0 of 2") == "0 of 2"
    assert file_stem("Bonn").startswith("Bonn~")


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/passwd", "..", ".", "", "a\0", "a/"])
def test_files_are_inside_their_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a file in"):
        inside(tmp_path, name)
    assert inside(tmp_path, "x.png") == tmp_path / "x.png"


def test_reserved_names_are_those_that_the_server_uses() -> None:
    assert {"server", POOLED} <= set(RESERVED)
    assert all(name == name.casefold() for name in RESERVED)


@pytest.mark.parametrize("name", ["../../../elsewhere", "St Mary/Ward 3", "Bonn ", "server"])
def test_both_ends_refuse_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="The client's name"):
        open_node(resolve("data=folder"), {"data-path": str(tmp_path), "name": name})
    content = NodeDescription(name, 5, (0,), 2, True, "0" * 32, "0" * 64).to_records()
    with pytest.raises(ProtocolError, match="The client's name"):
        NodeDescription.from_records(content)


def test_a_name_of_fifty_cyrillic_letters_has_a_directory() -> None:
    state = ClientState("a" * 16, "ж" * 50)
    state.path.mkdir(parents=True)
    assert state.path.name == "ж" * 50
    assert len(ClientState("a" * 16, "東" * 1000).path.name.encode()) <= 200


class Sites(DigitsSource):
    """Digits of sites with the given names."""

    def __init__(self, *names: str) -> None:
        super().__init__(resolve("").data)
        self.train = tuple(
            Entry(f"{number}", names[number % len(names)], f"{number}", 0, 8, 8) for number in range(2 * len(names))
        )


@pytest.mark.parametrize("name", ["Unit 1/2", "St Mary/Ward 3", "Bonn ", "Z\udcfcrich"])
def test_a_simulation_refuses_a_site_before_it_begins(name: str) -> None:
    source, config = Sites("Bonn", name), resolve("partition=site").partition
    for refused in (lambda: named_clients(source.train, config), lambda: partition(source, config, 2, 0)):
        with pytest.raises(DataError, match="The site, '"):
            refused()
    assert list(partition(source, resolve("partition=iid").partition, 2, 0)) == ["part-0", "part-1"]


def test_a_partition_file_names_clients_or_is_refused(tmp_path: Path) -> None:
    source, file = Sites("a"), tmp_path / "clients.csv"
    config = resolve(f"partition=csv partition.file={file}").partition
    file.write_text("name,client\n0,north\n1,../south\n")
    with pytest.raises(DganError, match=r"clients.csv: the client, '\.\./south', has the character '/'"):
        named_clients(source.train, config)


def test_a_client_of_many_labels_has_a_short_name() -> None:
    many = [*range(0, 80, 2)]
    entries = [Entry(f"{label}", "all", f"{label}", label, 8, 8) for label in range(80)]
    groups = ",".join(f"[{','.join(map(str, group))}]" for group in (many, [1, 5], [7]))
    config = resolve(f"partition=label partition.label_groups=[{groups}]").partition
    assert named_clients(entries, config) == ("labels 0 and 39 more", "labels 1,5", "label 7")


def test_no_stem_is_a_device_of_windows() -> None:
    for name in ("con", "nul", "com1", "lpt9", "com\u00b9"):
        assert is_reserved(name)
        assert is_reserved(f"{name.upper()}.txt")
        assert file_stem(name).startswith(f"{name}~") or not file_stem(name).startswith(name)
    assert not is_reserved("console")
    assert file_stem("console") == "console"


@pytest.mark.parametrize(
    ("stem", "written"),
    [
        ("scan 1.v2", "scan 1.v2"),
        ("con_1", "con_1"),
        ("con", "con-"),
        ("NUL.2024", "NUL-.2024"),
        ("com1 .b", "com1-.b"),
        ("a:b", "a-b"),
        ('<"a\\b|c?*">', "--a-b-c----"),
        ("a\x1fb\x7f", "a-b-"),
        ("slide. .", "slide. ."),
        ("aux ..", "aux-.."),
    ],
)
def test_any_file_system_can_hold_what_is_written(stem: str, written: str) -> None:
    assert portable_stem(stem) == written


@given(st.text(max_size=30))
def test_a_portable_stem_stays_what_it_is(text: str) -> None:
    stem = portable_stem(text)
    assert portable_stem(stem) == stem
    assert not is_reserved(stem)
    assert not set('<>:"/\\|?*') & set(stem)
