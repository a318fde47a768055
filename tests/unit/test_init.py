"""The app that `flower-dgan init` writes has the settings that it says."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flower_dgan import __version__
from flower_dgan.cli.main import app
from flower_dgan.errors import ConfigError
from flower_dgan.resolve import resolve


def init(*arguments: object) -> None:
    result = CliRunner().invoke(app, ["init", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def overrides(folder: Path) -> str:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dependencies"] == [f"flower-dgan>={__version__}"]
    return str(project["tool"]["flwr"]["app"]["config"]["overrides"])


def test_the_settings_are_those_of_the_main_job(tmp_path: Path) -> None:
    init(tmp_path / "new")
    assert resolve(overrides(tmp_path / "new")) == resolve("")
    assert "# new" in (tmp_path / "new" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["data", "it's mine", 'with "quotes" and \\', "bilder für $alle, ja=nein #1"])
def test_the_folder_of_data_is_the_one_that_was_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    init(tmp_path / "My App!", "--data", tmp_path / name)
    config = resolve(overrides(tmp_path / "My App!"))
    assert (config.data.source, config.data.root) == ("folder", str(tmp_path / name))
    project = tomllib.loads((tmp_path / "My App!" / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == "my-app"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty"):
        init(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        init(tmp_path / "new", "--data", tmp_path / "nowhere")
    assert not (tmp_path / "new").exists()


def test_the_version_is_said() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"{__version__}\n"
