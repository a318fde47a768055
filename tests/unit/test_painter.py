"""What the page paints is what the generator draws."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flower_dgan.config import ModelConfig
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.generator import draw
from flower_dgan.generator_file import load_generator, save_generator
from flower_dgan.networks.build import ImageShape, build_generator
from flower_dgan.randomness import derive_generator
from flower_dgan.synthesis import to_pixels
from flower_dgan.watch.painter import answer, describe, paint

SIDE = 16


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("painter") / "generator.safetensors"
    model = ModelConfig(
        generator="small",
        discriminator="small",
        generator_width=4,
        discriminator_width=4,
        noise_channels=3,
        site_condition=True,
        levels="none",
    )
    shape = ImageShape(3, 1, SIDE, ("north", "south"))
    torch.manual_seed(0)
    save_generator(path, build_generator(model, shape), model, shape)
    return path


def pixels(picture: dict[str, str]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["png"]))))


def test_a_mask_is_painted_as_the_generator_draws_it(file: Path) -> None:
    ids = np.zeros((SIDE, SIDE), np.uint8)
    ids[4:9, 2:5], ids[0] = 1, 2
    found = paint(str(file), ids.tobytes(), ["south", "north"], 2, 5)["pictures"]
    assert [(each["site"], each["draw"]) for each in found] == [("south", 1), ("south", 2), ("north", 1), ("north", 2)]
    network, *_ = load_generator(file)
    label_maps = torch.stack([torch.from_numpy(ids == each).float() for each in range(3)])[None].expand(2, -1, -1, -1)
    random = derive_generator(5, "page")
    noise = torch.randn(2, 3, generator=random)
    texture = torch.randn(2, 1, SIDE, SIDE, generator=random)
    for site, index in (("south", 1), ("north", 0)):
        wanted = to_pixels(draw(network, GeneratorInput(label_maps, noise, texture, torch.full((2,), index))))
        ours = [pixels(each) for each in found if each["site"] == site]
        np.testing.assert_array_equal(np.stack(ours), wanted[..., 0])
    assert (pixels(found[0]) != pixels(found[1])).any()
    assert (pixels(found[0]) != pixels(found[2])).any()


def test_it_says_what_it_paints(file: Path) -> None:
    assert describe(str(file)) == {
        "classes": 3,
        "image_size": SIDE,
        "sites": ["north", "south"],
        "draws_differ": True,
    }


def asked(file: Path, **changed: object) -> dict[str, object]:
    mask = base64.b64encode(bytes(SIDE**2)).decode()
    return answer(
        json.dumps({"paint": {"path": str(file), "mask": mask, "sites": ["north"], "draws": 1, "seed": 0} | changed})
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mask": base64.b64encode(bytes(15)).decode()}, "The mask has 15 pixels, and this generator paints 16 x 16."),
        ({"mask": base64.b64encode(b"\x03" * SIDE**2).decode()}, "class 3, and this generator knows 0 to 2"),
        ({"sites": ["west"]}, "does not know the site west"),
        ({"path": "/none/generator.safetensors"}, "/none/generator.safetensors"),
    ],
)
def test_what_it_cannot_paint_it_names(file: Path, changed: dict[str, object], said: str) -> None:
    assert said in str(asked(file, **changed)["error"])


def test_code_of_a_package_is_not_run(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "generator.safetensors"
    data = file.read_bytes().replace(b'\\"generator\\": \\"small\\"', b'\\"generator\\": \\"os:abc\\"')
    length = len(data) - len(file.read_bytes())
    other.write_bytes((int.from_bytes(data[:8], "little") + length).to_bytes(8, "little") + data[8:])
    assert "error" in asked(other)


def test_a_defect_is_no_end(file: Path) -> None:
    assert "error" in answer("no json")
    assert "error" in answer("{}")
    assert "pictures" in asked(file)
