"""JSON and YAML as a power cut, an attacker or a Windows editor leaves them: values, or one sentence."""

import json
from pathlib import Path

import pytest

from flower_dgan.data.plain_values import parse_json, read_json, read_yaml
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.federation.claims import Claims
from flower_dgan.federation.run_identity import settings_of_run
from flower_dgan.node.book import Book
from flower_dgan.node.own_policy import read_policy
from flower_dgan.node.owner_ledger import OwnerLedger
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.node.training_file import read_training_file
from flower_dgan.report.sweep_runs import read_sweep

DEEP = (b"[" * 100_000, b'{"a":' * 100_000)
TORN = (b"", bytes(40), b"\xe4{", b'{"a": 1', *DEEP, b'{"a":' + b"9" * 5000 + b"}")
UNICODE = ("utf-8-sig", "utf-16", "utf-16-be", "utf-32")


@pytest.mark.parametrize("encoding", UNICODE)
def test_both_are_read_in_every_encoding_of_unicode(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "file").write_text(json.dumps({"Stra\u00dfe": [1, None]}, ensure_ascii=False), encoding)
    assert read_json(tmp_path / "file") == read_yaml(tmp_path / "file") == {"Stra\u00dfe": [1, None]}


@pytest.mark.parametrize("content", TORN)
def test_what_is_none_is_a_value_error_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        read_json(tmp_path / "file")
    if content:  # an empty file is null in YAML
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            read_yaml(tmp_path / "file")


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "b:\n  - {a: 1, a: 1}\n"])
def test_a_key_that_comes_twice_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match="it says 'a' twice: keep one"):
        read_yaml(tmp_path / "file")


def test_keys_that_are_lists_and_what_is_merged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("[1]: 2\n")
    with pytest.raises(ValueError, match="unhashable"):
        read_yaml(tmp_path / "file")
    (tmp_path / "file").write_text("a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: {<<: *a}\n")
    assert read_yaml(tmp_path / "file") == {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 1}}


# Files of a run and of a node


@pytest.mark.parametrize("content", [*TORN, b'{"number": 1e999}', b"[]", b"null"])
def test_every_reader_of_such_files_says_which_it_is(tmp_path: Path, content: bytes) -> None:
    for name in ("config.yaml", "policy.yaml", "members.json", "a/.hydra/overrides.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError):
        settings_of_run(tmp_path)
    with pytest.raises(ConfigError, match=r"policy\.yaml"):
        read_policy(tmp_path / "policy.yaml")
    with pytest.raises(ConfigError):
        read_training_file(tmp_path / "config.yaml", lambda *_: None)
    if content != b"[]":
        with pytest.raises(DataError, match=r"overrides\.yaml cannot be read"):
            read_sweep(tmp_path)
    with pytest.raises(ConfigError, match=r"members\.json cannot be read"):
        Claims(tmp_path / "members.json")


@pytest.mark.parametrize("line", [*DEEP, b'{"number": 1e999, "hash": "x", "previous": "y"}', b"[]", b"\xff", b"1"])
def test_a_line_of_a_ledger_that_is_none_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(line + b"\n")
    verdict = OwnerLedger(tmp_path / "a.jsonl", Book(tmp_path / "book.sqlite")).verify()
    assert verdict.problems == ("line 1 cannot be read",)


def test_a_policy_of_a_windows_editor_is_read_and_one_of_two_minds_is_not(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("preset: strict\r\n", "utf-16", newline="")
    assert isinstance(read_policy(file), ReleasePolicy)
    file.write_text("preset: strict\npreset: research\n")
    with pytest.raises(ConfigError, match=r"policy\.yaml cannot be read: it says 'preset' twice: keep one"):
        read_policy(file)
    assert parse_json("[1]") == [1]
