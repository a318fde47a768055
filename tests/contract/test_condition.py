"""GANs without masks: the class of the image as condition, or none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.errors import DataError
from flower_dgan.generator_file import load_generator
from flower_dgan.report.run_metrics import read_metrics

from .conftest import Federation

ONE_ROUND = "partition=label exchange.rounds=1 output.synthetic_images=12 model.generator_width=8"


@pytest.mark.parametrize("model", ["mlp", "dcgan-small"])
def test_unconditional_round(model: str, federation: Federation) -> None:
    path = federation.run(f"data.condition=none model={model} {ONE_ROUND}").path
    rounds = read_metrics(path).rounds
    # 2 clients, 2 exchanges of 4 images
    assert [r.images for r in rounds] == [16]
    assert "label-maps" not in {record.record for record in read_metrics(path).records}
    assert not (path / "synthetic/masks").exists()
    images = sorted((path / "synthetic/images").iterdir())
    assert [Image.open(image).size for image in images] == [(32, 32)] * 12
    assert load_generator(path / "generator.safetensors")[2].classes == 1
    # two draws of 8 rows beside a black label map, twice as large
    grid = np.asarray(Image.open(path / "samples/round-00001.png"))
    assert grid.shape == (8 * 32 * 2, 3 * 32 * 2)
    assert not grid[:, :64].any()


@pytest.mark.parametrize("model", ["mlp", "dcgan-small"])
def test_class_conditional_round(model: str, federation: Federation) -> None:
    path = federation.run(f"data.condition=class model={model} {ONE_ROUND}").path
    assert [r.images for r in read_metrics(path).rounds] == [16]
    masks = sorted((path / "synthetic/masks").iterdir())
    assert len(masks) == 12
    for mask in masks:
        values = set(np.asarray(Image.open(mask)).flat)
        assert len(values) == 1
        # The client's own digits.
        assert values <= (set(range(5)) if mask.name.startswith("labels-0-4") else set(range(5, 10)))
    assert load_generator(path / "generator.safetensors")[2].classes == 10


def test_label_maps_are_drawn_and_drawn_on(federation: Federation, tmp_path: Path) -> None:
    """The first run makes masks from noise, with masks that stay at the clients; the second makes images from these."""
    first = federation.run(f"data.condition=none data.target=label-maps model=dcgan-small {ONE_ROUND}").path
    left = {record.record for record in read_metrics(first).records if record.direction == "from node"}
    assert left == {"node", "images", "feedback", "metrics"}
    names = sorted(file.name for file in (first / "synthetic/masks").iterdir())
    assert names == sorted(file.name for file in (first / "synthetic/images").iterdir())
    drawn = np.stack([np.asarray(Image.open(first / "synthetic/images" / name)) for name in names])
    masks = np.stack([np.asarray(Image.open(first / "synthetic/masks" / name)) for name in names])
    np.testing.assert_array_equal(masks, np.where(drawn > 127, 255, 0))
    assert 0 < (masks > 0).mean() < 1
    federation.directory = tmp_path / "second"
    second = federation.run(f"data.label_maps='{first}/synthetic/masks'").path
    known = {each.tobytes() for each in masks}
    used = [np.asarray(Image.open(file)).tobytes() for file in (second / "synthetic/masks").iterdir()]
    assert len(used) == 6
    assert set(used) <= known


def test_every_round_changes_the_generator(federation: Federation) -> None:
    overrides = f"data.condition=none model=mlp {ONE_ROUND} algorithm.average_decay=0"
    first = load_generator(federation.run(overrides).path / "generator.safetensors")[0].state_dict()
    federation.directory = federation.directory.with_name("two")
    second = federation.run(f"{overrides} exchange.rounds=2").path / "generator.safetensors"
    for name, values in load_generator(second)[0].state_dict().items():
        assert (values - first[name]).abs().max() > 0, name
        assert torch.isfinite(values).all()


def test_images_are_drawn_again_without_label_maps(federation: Federation, tmp_path: Path) -> None:
    path = federation.run(f"data.condition=none model=mlp {ONE_ROUND}").path
    arguments = [path / "generator.safetensors", tmp_path / "no folder", tmp_path / "drawn", "--count", 5]
    result = CliRunner().invoke(app, ["synthesize", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "drawn/images").iterdir())) == 5
    # There is nothing to learn segmentation from, and the command says so.
    evaluated = CliRunner().invoke(app, ["evaluate", str(tmp_path / "drawn"), str(path / "synthetic")])
    assert isinstance(evaluated.exception, DataError)
    assert "has no folder 'masks'" in str(evaluated.exception)
