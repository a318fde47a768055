from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from flower_dgan.data import Pairs, to_one_hot
from flower_dgan.errors import ConfigError, DataError, ProtocolError
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, draw_bundle, draw_in_parts
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.gan.schedule import scheduled_rate
from flower_dgan.networks.build import ImageShape
from flower_dgan.networks.small import SmallGenerator
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import sample_grid, shares, synthesize, synthesize_folder, to_pixels, write_pairs

SETTINGS = BundleSettings(2, 3, 16, "flips", 2, seed=0)


def client(name: str, maps: int, site: int) -> ClientLabels:
    rng = np.random.default_rng(site)
    return ClientLabels(name, tuple(rng.integers(0, 2, (20, 24), dtype=np.uint8) for _ in range(maps)), 2, site)


def test_shares_are_proportional_and_complete() -> None:
    assert shares([30, 10], 4) == (3, 1)
    assert shares([1, 1, 1], 8) == (3, 3, 2)
    assert shares([5, 0], 3) == (3, 0)


def test_synthetic_dataset_is_the_generators(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SmallGenerator(2, 1, 8, 16, 2, 2)
    pairs, names = synthesize(network, [client("a b", 6, 0), client("c", 2, 1)], SETTINGS, 8)
    assert len(pairs) == len(set(names)) == 8
    assert [name.split("_")[0] for name in names] == ["a-b"] * 6 + ["c"] * 2
    again, _ = synthesize(network, [client("a b", 6, 0), client("c", 2, 1)], SETTINGS, 8)
    np.testing.assert_array_equal(np.stack(pairs.images), np.stack(again.images))
    write_pairs(tmp_path, pairs, names)
    read = np.asarray(Image.open(tmp_path / "images" / f"{names[3]}.png"))
    np.testing.assert_array_equal(read, pairs.images[3][..., 0])
    mask = np.asarray(Image.open(tmp_path / "masks" / f"{names[3]}.png"))
    np.testing.assert_array_equal(mask, pairs.label_maps[3] * 255)


def test_masks_of_many_classes_are_ids(tmp_path: Path) -> None:
    label_map = np.array([[0, 1], [2, 2]], np.uint8)
    write_pairs(tmp_path, Pairs((np.zeros((2, 2, 3), np.uint8),), (label_map,), 3), ["x"])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "masks/x.png")), label_map)


def test_label_maps_of_one_class_are_not_masks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SmallGenerator(1, 1, 8, 16, 2)
    labels = ClientLabels("a", tuple(np.zeros((20, 24), np.uint8) for _ in range(4)), 1, 0)
    pairs, names = synthesize(network, [labels], SETTINGS, 4)
    assert pairs.classes == 1
    write_pairs(tmp_path, pairs, names)
    assert len(list((tmp_path / "images").iterdir())) == 4
    assert not (tmp_path / "masks").exists()


def test_pixels_are_rounded() -> None:
    images = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(to_pixels(images), np.array([0, 128, 255], np.uint8).reshape(1, 1, 3, 1))


def test_bundle_draws_depend_on_round_client_and_seed() -> None:
    views, inputs = draw_bundle(client("a", 6, 1), SETTINGS, 4)
    assert inputs.label_maps.shape == (6, 2, 16, 16)
    torch.testing.assert_close(inputs.label_maps.sum(1), torch.ones(6, 16, 16))
    assert inputs.sites.tolist() == [1] * 6
    # a batch takes different pairs
    assert len(set(views.ids[:3].tolist())) == len(set(views.ids[3:].tolist())) == 3
    torch.testing.assert_close(draw_bundle(client("a", 6, 1), SETTINGS, 4)[1].noise, inputs.noise, rtol=0, atol=0)
    for other in (draw_bundle(client("a", 6, 1), SETTINGS, 5), draw_bundle(client("b", 6, 1), SETTINGS, 4)):
        assert (other[1].noise - inputs.noise).abs().max() > 0.1


def test_inputs_in_parts_are_those_of_the_bundle() -> None:
    settings = replace(SETTINGS, exchanges=1, batch_size=150, augmentation="rotations")
    _, whole = draw_bundle(client("a", 6, 1), settings, 0)
    parts = list(draw_in_parts(client("a", 6, 1), settings))
    assert [len(part) for part in parts] == [64, 64, 22]
    for name in ("label_maps", "noise", "texture", "sites"):
        joined = torch.cat([getattr(part, name) for part in parts])
        torch.testing.assert_close(joined, getattr(whole, name), rtol=0, atol=0)
    given = torch.arange(150)
    parts = list(draw_in_parts(client("a", 6, 1), settings, given))
    assert torch.equal(torch.cat([part.sites for part in parts]), given)
    assert torch.equal(parts[2].noise, whole.noise[128:])


def test_one_hot_is_one_of_the_classes() -> None:
    one_hot = to_one_hot(np.array([[[0, 2]], [[1, 1]]], np.uint8), 3)
    assert one_hot.dtype == torch.float32
    assert one_hot.tolist() == [[[[1, 0]], [[0, 0]], [[0, 1]]], [[[0, 0]], [[1, 1]], [[0, 0]]]]
    assert one_hot.is_contiguous()
    with pytest.raises(ProtocolError, match=r"class 2 of 2 \(0 \.\. 1\)"):
        to_one_hot(np.array([[[0, 2]]], np.uint8), 2)


def test_sample_grid_has_a_row_a_sample(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SmallGenerator(2, 3, 8, 16, 2)
    _, inputs = draw_bundle(client("a", 6, 0), SETTINGS, 1)
    other = GeneratorInput(inputs.label_maps, -inputs.noise, inputs.texture, inputs.sites)
    real = np.full((6, 16, 16, 3), 7, np.uint8)
    sample_grid(network, [inputs, other], real, tmp_path / "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))[::2, ::2]
    assert grid.shape == (6 * 16, 4 * 16, 3)
    np.testing.assert_array_equal(grid[:16, :16, 0], inputs.label_maps[0, 1].numpy() * 255)
    np.testing.assert_array_equal(grid[16:32, 16:32], to_pixels(network(inputs).detach())[1])
    np.testing.assert_array_equal(grid[:, 48:], 7)


def test_sample_grid_of_constant_label_maps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    # With one class black; with ten, class 3 is 3 * (255 // 9) = 84.
    for classes, value, grey in ((1, 0, 0), (10, 3, 84)):
        labels = ClientLabels("a", tuple(np.full((16, 16), value, np.uint8) for _ in range(6)), classes, 0)
        _, inputs = draw_bundle(labels, SETTINGS, 1)
        sample_grid(SmallGenerator(classes, 1, 8, 16, 2), [inputs], None, tmp_path / "grid.png")
        grid = np.asarray(Image.open(tmp_path / "grid.png"))[::2, ::2]
        assert grid.shape == (6 * 16, 2 * 16)
        np.testing.assert_array_equal(grid[:, :16], grey)


def test_rates_fall_over_the_second_half() -> None:
    rates = [scheduled_rate(number, 8, 0.2) for number in (1, 4, 5, 6, 8)]
    np.testing.assert_allclose(rates, [1.0, 1.0, 0.8, 0.6, 0.2])


def test_no_pair_takes_the_files_of_another(tmp_path: Path) -> None:
    """Clients whose names differ by a sign, by capitals, or not at all, as of one that takes part in two tasks."""
    torch.manual_seed(0)
    network = SmallGenerator(2, 1, 8, 16, 2, 2)
    names = ["clinic_a", "clinic a", "Clinic-A", "c", "c", "../d"]
    clients = [client(name, 2, 0) for name in names]
    pairs, stems = synthesize(network, clients, SETTINGS, 2 * len(names))
    write_pairs(tmp_path / "set", pairs, stems)
    for folder in ("images", "masks"):
        written = [path.name for path in (tmp_path / "set" / folder).iterdir()]
        assert len({name.casefold() for name in written}) == 2 * len(names)
        assert {f"c_0000{number}.png" for number in range(4)} < set(written)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


class NoiseShown(nn.Module):
    """Draws the first number of the noise vector, a tenth of it, in every pixel."""

    def forward(self, inputs: GeneratorInput) -> Tensor:
        return inputs.noise[:, :1, None, None].expand(-1, 1, 16, 16) / 10


def grey_levels(pairs: Pairs) -> NDArray[np.float64]:
    """Return how far each image of :class:`NoiseShown` is from the middle, in units of the noise."""
    return np.array([float(image[0, 0, 0]) / 127.5 - 1 for image in pairs.images]) * 10


@pytest.mark.parametrize("factor", [0.0, 1.0, 2.0])
def test_noise_of_the_published_set_is_longer_and_that_of_bundles_is_not(factor: float) -> None:
    settings, labels = replace(SETTINGS, published_noise=factor), client("a", 6, 0)
    torch.testing.assert_close(
        draw_bundle(labels, settings, 0)[1].noise, draw_bundle(labels, SETTINGS, 0)[1].noise, rtol=0, atol=0
    )
    published = replace(settings, exchanges=1, batch_size=5)
    noise = torch.cat([part.noise[:, 0] for part in draw_in_parts(labels, published)]).numpy()
    pairs, _ = synthesize(NoiseShown(), [labels], settings, 5)
    np.testing.assert_allclose(grey_levels(pairs), factor * noise, rtol=0, atol=0.05)  # half a grey level is 0.04
    assert np.abs(noise).max() > 1


def test_a_generator_file_says_how_long_its_noise_is(tmp_path: Path) -> None:
    shape, one = ImageShape(1, 1, 16, ("a",)), replace(resolve("").model, noise_channels=2)
    assert one.published_noise == 1

    def drawn(factor: float) -> NDArray[np.float64]:
        model = replace(one, published_noise=factor)
        return grey_levels(synthesize_folder((NoiseShown(), model, shape), tmp_path, count=5, site="a", seed=0)[0])

    np.testing.assert_allclose(drawn(2.0), 2 * drawn(1.0), rtol=0, atol=0.15)  # rounded once each
    assert np.abs(drawn(1.0)).max() > 0.5


def test_sites_of_a_generator_file_are_no_paths(tmp_path: Path) -> None:
    network, model = SmallGenerator(1, 1, 8, 16, 2), replace(resolve("").model, noise_channels=2)
    shape = ImageShape(1, 1, 16, ("../../elsewhere", "a/b"))
    pairs, names = synthesize_folder((network, model, shape), tmp_path, count=6, site=None, seed=0)
    assert {name.rpartition("_")[0] for name in names} <= {"elsewhere", "a-b"}
    write_pairs(tmp_path / "set", pairs, names)
    with pytest.raises(ValueError, match="is not the name of a file in"):
        write_pairs(tmp_path / "set", pairs, [f"../{number}" for number in range(6)])
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    with pytest.raises(ConfigError, match=r"Unknown site '\\x1b\[31m'"):
        synthesize_folder((network, model, shape), tmp_path, count=6, site="\x1b[31m", seed=0)
    with pytest.raises(DataError, match="of no site"):
        synthesize_folder((network, model, replace(shape, sites=())), tmp_path, count=6, site=None, seed=0)
