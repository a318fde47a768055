"""The owner's commands: what they say, and that they speak of the same trainings as the node."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.errors import ConfigError
from flower_dgan.node import open_sessions
from flower_dgan.node.book import Book
from flower_dgan.node.own_policy import read_policy
from flower_dgan.node.owner_ledger import OwnerLedger
from flower_dgan.node.presets import PRESETS
from flower_dgan.resolve import to_yaml
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import Refusal
from tests.clinic import Clinic, settings
from tests.pairs import make_folder


def command(*arguments: str, code: int = 0, typed: str = "") -> str:
    result = CliRunner().invoke(app, arguments, input=typed, env={"COLUMNS": "400"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    open_sessions._OPEN.clear()
    found = Clinic(make_folder(tmp_path / "pairs", sites=1, images=9, size=24), tmp_path)
    found.node_config["policy"] = "standard"
    yield found
    open_sessions._OPEN.clear()


def test_an_owner_approves_by_the_hash_that_check_waiting_and_node_agree_on(clinic: Clinic, tmp_path: Path) -> None:
    file = tmp_path / "training.yaml"
    file.write_text(to_yaml(settings("output.directory=/anywhere data.root=/server/side")))
    words = command("policy", "check", str(file))
    found = words.split()[1]
    assert "a loss and a gradient at each of 8 synthetic images" in words
    assert "there is no differential privacy in it" in words
    assert command("policy", "waiting").count("waiting") == 0
    assert clinic.refusal(clinic.join("data.root=/elsewhere")) == Refusal.APPROVAL
    assert found in command("policy", "waiting")
    assert words.splitlines()[2:8] == command("policy", "approve", found, typed="n\n", code=1).splitlines()[3:9]
    assert clinic.refusal(clinic.join()) == Refusal.APPROVAL
    command("policy", "approve", found, "--yes")
    assert clinic.refusal(clinic.join()) is None
    command("policy", "revoke", found)
    assert clinic.refusal(clinic.ask(1)) == Refusal.REVOKED
    assert "revoked" in command("policy", "waiting", "--all")
    left = command("ledger")
    assert left.count("refused (1019)") == 2
    assert "4 messages, none changed, removed or moved" in left


def test_check_names_the_rule_that_refuses(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(to_yaml(settings("algorithm.discriminator_learning_rate=10.0")))
    assert "REFUSED by the rule learning_rate" in command("policy", "check", str(tmp_path / "run"))
    assert "REFUSED by the rule feedback" in command("policy", "check", str(tmp_path / "run"), "--policy", "strict")
    words = command("policy", "check", str(tmp_path / "run"), "--policy", "research")
    assert "REFUSED" not in words
    assert "whoever starts the run can read the images" in words
    (tmp_path / "few.yaml").write_text("preset: research\ndistinct_images: 4\n")  # and no bounds on rates and weights
    assert "This policy has no hurdles" in command(
        "policy", "check", str(tmp_path / "run"), "--policy", str(tmp_path / "few.yaml")
    )


def test_init_asks_what_is_not_given(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    command("policy", "init", str(file), typed="standard\nn\ny\n")
    assert read_policy(file).label_maps is False
    assert read_policy(file).approval is True
    assert read_policy(file).bounds == PRESETS["standard"].bounds
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_policy(file).publish_label_maps is False
    for typed, allowed in (("standard\ny\nn\ny\n", False), ("standard\ny\ny\ny\n", True)):
        of_masks = tmp_path / f"{allowed}.yaml"
        command("policy", "init", str(of_masks), typed=typed)
        assert read_policy(of_masks).label_maps is True
        assert read_policy(of_masks).publish_label_maps is allowed
    command("policy", "init", str(tmp_path / "strict.yaml"), "--preset", "strict")
    assert read_policy(tmp_path / "strict.yaml") == PRESETS["strict"]
    with pytest.raises(Exception, match="is there already"):
        CliRunner().invoke(app, ["policy", "init", str(file)], catch_exceptions=False)
    together = ["policy", "init", str(tmp_path / "together.yaml"), "--preset", "strict", "--peer"]
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        CliRunner().invoke(app, [*together, "abc"], catch_exceptions=False)
    assert not (tmp_path / "together.yaml").exists()
    command(*together, "a1" * 32, "--peer", "07" * 32)
    assert read_policy(tmp_path / "together.yaml").peers.keys == ("a1" * 32, "07" * 32)


def test_a_new_book_is_the_owners_word(clinic: Clinic) -> None:
    """Until then nothing is answered, and the start of another training is refused; the counts are said."""
    clinic.node_config["policy"] = "research"
    clinic.join()
    clinic.ask(1)
    assert "9 images were used" in command("policy", "counts")
    Book().path.unlink()
    assert clinic.refusal(clinic.ask(2)) == Refusal.STORAGE
    assert clinic.refusal(clinic.join(training=Training("b" * 16, 1))) == Refusal.STORAGE
    assert "forgotten for good" in command("policy", "new-book", typed="n\n", code=1)
    assert clinic.refusal(clinic.ask(2)) == Refusal.STORAGE
    assert "clinic.jsonl says so" in command("policy", "new-book", "--yes")
    assert clinic.refusal(clinic.ask(2)) is None
    assert "none changed, removed or moved" in command("ledger")


def test_ledger_fails_where_a_line_was_changed() -> None:
    found = OwnerLedger.of("clinic")
    for number in range(3):
        found.note({"purpose": "x", "bytes": number, "records": []})
    found.path.write_text(found.path.read_text().replace('"bytes": 1', '"bytes": 7'))
    assert "line 2 (message 2) was changed" in command("ledger", str(found.path.parents[1]), code=1)


def test_a_key_is_printed_and_stays(own_home: Path, tmp_path: Path) -> None:
    """The same again; another of another file; what is private is in neither, and nobody else can read it."""
    printed = command("policy", "key").strip()
    assert re.fullmatch("[0-9a-f]{64}", printed)
    assert command("policy", "key").strip() == printed
    other = command("policy", "key", "--file", str(tmp_path / "identity")).strip()
    assert other != printed
    for file in (own_home / "state/flower-dgan/identity", tmp_path / "identity"):
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_bytes().hex() not in (printed, other)
