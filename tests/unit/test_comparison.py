"""Tests of the distances between real and generated images, by numbers made by hand and other ways to the same."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.linalg import sqrtm
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.comparison import feature_networks
from flower_dgan.comparison.by_class import class_agreement
from flower_dgan.comparison.classifier import Classifier
from flower_dgan.comparison.feature_networks import WEIGHTS, inception_features, open_network
from flower_dgan.comparison.image_sets import (
    POOLED,
    TEST,
    TRAIN,
    all_alike,
    compare,
    frechet_by_site,
    open_windows,
    read_images,
)
from flower_dgan.comparison.named_metric import NamedMetric, parse_metric
from flower_dgan.data import open_source
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.metrics import ImageMetric, find_metric
from flower_dgan.metrics.kid import kernel_distance
from flower_dgan.metrics.shared.feature_moments import combine_moments, frechet_distance, frechet_of_moments, moments_of
from flower_dgan.resolve import resolve
from flower_dgan.tasks.classification.network import FEATURES, build_body
from tests.pairs import make_folder

precision, recall = (find_metric(name, ImageMetric).distance for name in ("precision", "recall"))


def line(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def test_distance_of_one_feature() -> None:
    # Means 1 and 7, variances 2 and 8: 36 + (sqrt 2 - sqrt 8)^2 = 38.
    assert frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [9.0]])) == pytest.approx(38)


def test_distance_of_two_features_that_belong_together() -> None:
    # (1, 1) and (1, -1) are the axes of both; the variances along them are 4 and 1, and 16 and 1 (times 4 / 3: divisor
    # 3). So (2 - 4)^2 * 4 / 3 from the shapes, and 3^2 + 4^2 from the means.
    axes = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    first = (corners * torch.tensor([2.0, 1.0])) @ axes
    second = (corners * torch.tensor([4.0, 1.0])) @ axes + torch.tensor([3.0, 4.0])
    assert frechet_distance(first, second) == pytest.approx(4 * 4 / 3 + 25, rel=1e-5)


def test_distance_is_that_of_the_matrix_root() -> None:
    generator = np.random.default_rng(0)
    first = generator.normal(size=(50, 6)) @ generator.normal(size=(6, 6))
    second = generator.normal(size=(40, 6)) @ generator.normal(size=(6, 6)) + 0.5
    covariances = np.cov(first.T), np.cov(second.T)
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2) + np.trace(covariances[0] + covariances[1] - 2 * root)
    ours = frechet_distance(torch.from_numpy(first), torch.from_numpy(second))
    assert ours == pytest.approx(expected, rel=1e-9)


def test_distance_of_features_that_never_fire() -> None:
    dead = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    assert frechet_distance(dead, dead) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(dead, dead + torch.tensor([0.0, 3.0])) == pytest.approx(9)


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (3, 1)])
def test_distance_of_what_does_not_fit_is_refused(rows: int, columns: int) -> None:
    with pytest.raises(DataError, match=rf"\({rows}, {columns}\)"):
        frechet_distance(torch.zeros(3, 2), torch.zeros(rows, columns))


def test_distance_is_that_of_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(20, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    features = nn.Identity()
    features.num_features = 5
    metric = FrechetInceptionDistance(features)
    metric.update(first, real=True)
    metric.update(second, real=False)
    assert frechet_distance(first, second) == pytest.approx(float(metric.compute()), rel=1e-9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance, precision, recall])
@pytest.mark.parametrize("side", [0, 1])
def test_no_figure_is_made_of_what_is_not_finite(bad: float, distance: Callable[..., float], side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    sets = [torch.randn(40, 64, generator=generator) for _ in range(2)]
    distance(*sets)
    sets[side][7, 3] = bad
    with pytest.raises(DataError, match=r"are not finite \([0-9,]+ of [0-9,]+ values\), so that no figure"):
        distance(*sets)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_features_too_large_to_compute_with(distance: Callable[..., float]) -> None:
    features = torch.tensor([[0.0, 1.0], [2.0, 3.0], [5.0, 4.0]], dtype=torch.float64)
    with pytest.raises(DataError, match="are not finite"):
        distance(features, features * 1e120 if distance is kernel_distance else features * 1e160)


def test_pooled_moments_of_a_site_that_are_not_finite() -> None:
    sound, bad = moments_of(line(1, 2, 4)), moments_of(line(1, 2, float("nan")))
    with pytest.raises(DataError, match="The means of the second set of features are not finite"):
        frechet_of_moments(sound, combine_moments([sound, bad]))


def test_a_classifier_that_diverged_has_no_accuracy() -> None:
    images = [np.full((8, 8, 1), 100 * number, np.uint8) for number in range(2)]
    for module, words in ((0, "features"), (1, "logits")):
        body, head = build_body(1).eval(), nn.Linear(FEATURES, 2)
        next((body, head)[module].parameters()).data.fill_(float("nan"))
        with pytest.raises(DataError, match=f"The classifier's {words} are not finite"):
            class_agreement(Classifier(body, head, 2), images, [0, 1])


def test_a_set_whose_features_are_not_finite_is_named() -> None:
    def look(images: Sequence[np.ndarray]) -> Tensor:
        means = torch.tensor([float(image.mean()) for image in images])
        return torch.stack([means, means / means], dim=1)  # 0 / 0 is not a number

    grey, black = [np.full((4, 4, 1), 9, np.uint8)] * 6, [np.zeros((4, 4, 1), np.uint8)] * 6
    windows = {TRAIN: grey, TEST: [], "drawn": black}
    with pytest.raises(DataError, match=r"The features of 'drawn' are not finite \(6 of 12 values\)"):
        compare(windows, [parse_metric("precision-cnn-32-n6")], {("cnn", 32): look})


def test_moments_by_hand() -> None:
    found = moments_of(torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
    assert found.count == 2
    torch.testing.assert_close(found.mean, torch.tensor([2.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(found.scatter, torch.tensor([[2.0, 4.0], [4.0, 8.0]], dtype=torch.float64))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_moments_of_parts_combine_to_those_of_the_pool(counts: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(count, 3, generator=generator, dtype=torch.float64) + 10 * count for count in counts]
    ours, pooled = combine_moments(map(moments_of, parts)), moments_of(torch.cat(parts))
    assert ours.count == pooled.count
    torch.testing.assert_close(ours.mean, pooled.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.scatter, pooled.scatter, rtol=1e-10, atol=1e-10)


def test_moments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="no moments"):
        combine_moments([])
    with pytest.raises(DataError, match="2 and of 3 features"):
        combine_moments([moments_of(torch.zeros(1, 2)), moments_of(torch.zeros(1, 3))])
    with pytest.raises(DataError, match=r"not \(0, 2\)"):
        moments_of(torch.zeros(0, 2))


# Real samples at 0, 1, 2, 3 and 10: third nearest at 3, 2, 2, 3 and 9 (1, 2, 3 are 9, 8, 7 away).
REAL = line(0, 1, 2, 3, 10)


def test_precision_and_recall_by_hand() -> None:
    # 6 is on the surface of 3's ball; 19 on that of 10's, but 20 outside; -4 outside all.
    assert precision(REAL, line(6, 19, 20, -4)) == 2 / 4
    # Third nearest of 6, 19, 20, -4: 14, 23, 24, 24. All real ones are within 14 of 6.
    assert recall(REAL, line(6, 19, 20, -4)) == 1
    # Balls of 0.3 and less around 20 .. 20.3 hold no real sample; 20 is in no ball.
    assert precision(REAL, line(20, 20.1, 20.2, 20.3)) == recall(REAL, line(20, 20.1, 20.2, 20.3)) == 0


def slow_precision(real: Tensor, synthetic: Tensor) -> float:
    inside = 0
    for sample in synthetic:
        for i, centre in enumerate(real):
            others = sorted(float((centre - other).norm()) for j, other in enumerate(real) if j != i)
            if float((sample - centre).norm()) <= others[2]:
                inside += 1
                break
    return inside / len(synthetic)


@pytest.mark.parametrize("seed", range(5))
def test_precision_is_that_of_loops(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(30, 2, generator=generator, dtype=torch.float64)
    synthetic = torch.randn(25, 2, generator=generator, dtype=torch.float64) * 2
    assert precision(real, synthetic) == slow_precision(real, synthetic)
    assert recall(real, synthetic) == slow_precision(synthetic, real)


def test_equal_samples_are_in_balls_without_extent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower_dgan.metrics.shared.neighbours._ROWS", 7)
    real = torch.full((40, 3), 1 / 3)
    assert precision(real, real) == 1
    assert precision(real, real + 1e-6) == 0


@pytest.mark.parametrize("real", [torch.zeros(3, 2), torch.zeros(9, 3)])
def test_neighbours_that_there_are_not_are_refused(real: Tensor) -> None:
    with pytest.raises(DataError, match="more than 3 samples"):
        precision(real, torch.zeros(9, 2))


def test_kernel_distance_by_hand() -> None:
    # Kernel (x y + 1)^3: real 0 and 1: k = 1; synthetic 1 and 2: k = 27; across: 1, 1, 8, 27, mean 37 / 4.
    assert kernel_distance(line(0, 1), line(1, 2)) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_kernel_distance_of_subsets_is_always_the_same_and_leaves_the_global_rng_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flower_dgan.metrics.kid._SUBSET", 50)
    generator = torch.Generator().manual_seed(0)
    real, other = (torch.randn(80, 4, generator=generator) for _ in range(2))
    before = torch.get_rng_state()
    assert kernel_distance(real, other) == kernel_distance(real, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert abs(kernel_distance(real, other)) < 0.05 * kernel_distance(real, other + 1)


def test_a_name_is_the_protocol() -> None:
    metric = parse_metric("fid-inception-2048-n10000")
    assert metric == NamedMetric("fid", "inception", 2048, 10000)
    assert str(metric) == "fid-inception-2048-n10000"
    assert metric.wanted == 2049
    assert parse_metric("recall-segmenter-256-n5").wanted == 100


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fid", "'fid' is no metric: write <kind>-<network>"),
        ("fid-cnn-32-n0", "is no metric"),
        ("fidd-cnn-32-n500", "Did you mean 'fid'"),
        ("fid-inceptoin-2048-n500", "Did you mean 'inception'"),
        ("precision-cnn-32-n3", "more samples than 3"),
        ("fid-inception-1024-n500", "inception has 64 or 192 or 768 or 2048 features"),
    ],
)
def test_names_that_there_are_not_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_metric(name)


def mean_colour(images: list[np.ndarray]) -> Tensor:
    return torch.tensor(np.stack(images).mean((1, 2)))


def test_sets_are_compared_in_windows_spread_evenly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = resolve(f"data=folder data.root={make_folder(tmp_path / 'real', sites=2, images=3)} data.image_size=16")
    source = open_source(config.data)
    grey = [np.full((16, 20, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)]
    metrics = [parse_metric("fid-cnn-32-n5")]
    with caplog.at_level(logging.WARNING):
        windows = open_windows(source, {"grey": grey}, 16, metrics)
    assert "fid-cnn-32-n5 means little: take 33 samples or more" in caplog.text
    assert {name: len(found) for name, found in windows.items()} == {TRAIN: 6 * 16, TEST: 4 * 16, "grey": 5}
    found = compare(windows, metrics, {("cnn", 32): mean_colour})
    assert list(found) == [TEST, "grey"]
    real = mean_colour([windows[TRAIN][index] for index in (0, 24, 48, 71, 95)])
    expected = frechet_distance(real, torch.tensor([[value] * 3 for value in (10.0, 20.0, 30.0, 40.0, 50.0)]))
    assert found["grey"] == [pytest.approx(expected)]
    assert found[TEST][0] < expected

    more = [parse_metric("fid-cnn-32-n80")]
    sets = {"train": source.load(source.train).images}
    found = compare(open_windows(source, sets, 16, more), more, {("cnn", 32): mean_colour})
    assert found == {TEST: [None], "train": [pytest.approx(0, abs=1e-9)]}

    by_site = frechet_by_site(source, {"grey": grey}, 16, mean_colour)
    assert {site: count for site, (count, _) in by_site.items()} == {"site0": 48, "site1": 48, POOLED: 96}
    pooled = frechet_of_moments(moments_of(mean_colour(windows[TRAIN])), moments_of(mean_colour(grey)))
    assert by_site[POOLED][1] == [pytest.approx(pooled)]

    with pytest.raises(DataError, match=r"'grey' has 5: end the name in n5 or less"):
        open_windows(source, {"grey": grey}, 16, [parse_metric("kid-cnn-32-n6")])
    with pytest.raises(DataError, match="An image of 'grey' has 16 pixels, less than a window"):
        open_windows(source, {"grey": grey}, 32, metrics)


def test_networks_that_do_not_fit_the_data_are_refused(tmp_path: Path) -> None:
    small = "data.image_size=16 downstream.steps=1 downstream.batch_size=2"
    config = resolve(f"data=folder data.root={make_folder(tmp_path / 'real', images=2)} {small}")
    source = open_source(config.data)
    with pytest.raises(ConfigError, match="these images have no classes"):
        open_network("cnn", 32, source, config, None)
    digits = resolve("data.condition=class downstream=none")
    with pytest.raises(ConfigError, match="leaves no masks for segmenter"):
        open_network("segmenter", 256, open_source(digits.data), digits, None)
    with pytest.raises(DataError, match="name a folder of synthetic pairs"):
        read_images(tmp_path, 3)
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="holds no PNG"):
        read_images(tmp_path, 3)


def test_segmenter_tells_noise_from_digits() -> None:
    config = resolve("downstream.steps=20")
    source = open_source(config.data)
    noise = np.random.default_rng(0).integers(0, 256, (120, 32, 32, 1), dtype=np.uint8)
    metrics = [parse_metric(f"{kind}-segmenter-256-n120") for kind in ("fid", "kid", "precision", "recall")]
    windows = open_windows(source, {"noise": list(noise)}, 32, metrics)
    network = open_network("segmenter", 256, source, config, None)
    assert network.quality.startswith("segmentation model, Dice 0.")
    found = compare(windows, metrics, {("segmenter", 256): network.look})
    assert found["noise"][0] > 10 * found[TEST][0]
    assert found["noise"][1] > 10 * abs(found[TEST][1])
    assert min(found[TEST][2:]) > 0.8 > 0.1 > max(found["noise"][2:])


def test_a_segmenter_that_diverged_is_said_before_any_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    config = resolve("downstream.steps=1 downstream.learning_rate=0.5")
    sound = feature_networks.train_segmenter

    def diverge(*arguments: Any, **named: Any) -> nn.Module:
        model = sound(*arguments, **named)
        list(model.parameters())[-1].data.fill_(float("nan"))
        return model

    monkeypatch.setattr(feature_networks, "train_segmenter", diverge)
    with pytest.raises(DataError, match=r"downstream\.learning_rate=0\.5 weights of the segmenter .* are not finite"):
        open_network("segmenter", 256, open_source(config.data), config, None)


def test_inception_without_torch_fidelity_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", False)
    with pytest.raises(ConfigError, match=r"flower-dgan\[inception\]"):
        inception_features(2048, None)


def test_inception_offline_says_which_file_goes_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*args: object, **kwargs: object) -> nn.Module:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torchmetrics.image.fid.FrechetInceptionDistance", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/cache")
    with pytest.raises(DataError, match=f"put it here as /cache/checkpoints/{WEIGHTS}"):
        inception_features(2048, None)
    (tmp_path / "other").write_text("no weights")
    with pytest.raises(DataError, match=r"other is not torch-fidelity's"):
        inception_features(2048, tmp_path / "other")
    with pytest.raises(DataError, match="There is no file"):
        inception_features(2048, tmp_path / "none")


def test_inception_sees_three_channels_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Features(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float().mean((2, 3)) * (pixels.dtype == torch.uint8)

    class Inception(nn.Module):
        def __init__(self, features: int, feature_extractor_weights_path: str | None) -> None:
            super().__init__()
            self.inception = Features()

    monkeypatch.setattr("torchmetrics.image.fid.FrechetInceptionDistance", Inception)
    images = [np.full((4, 4, 1), value, np.uint8) for value in range(40)]
    expected = torch.arange(40.0)[:, None].expand(40, 3)
    torch.testing.assert_close(inception_features(2048, None)(images), expected)


def test_command_compares_folders(tmp_path: Path) -> None:
    tmp_path = tmp_path / ("a folder of a long name " * 8) / ("y" * 200)  # no cell of the tables is cut
    real = make_folder(tmp_path / "real", sites=2, images=4, size=32)
    (tmp_path / "made/images").mkdir(parents=True)
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"made/images/{number}.png")
    given = ["compare", str(real), str(tmp_path / "made"), "--sites", "--overrides"]
    given += ["data.image_size=16 downstream.steps=2 downstream.batch_size=2"]
    given += ["--metric", "fid-segmenter-256-n16", "--metric", "recall-segmenter-256-n20"]
    given += ["--json", str(tmp_path / "found.json")]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in result.output.splitlines() if "│" in row]
    assert [row[0] for row in rows] == [TEST, str(tmp_path / "made"), "site0", "site1", POOLED]
    assert float(rows[0][1]) >= 0
    assert rows[0][2] == "-"
    assert "the real test split has 16 windows" in result.output
    assert 0 <= float(rows[1][2]) <= 1
    assert "fid-segmenter-256-n16 (few)" in result.output
    assert "segmentation model, Dice" in result.output
    found = json.loads((tmp_path / "found.json").read_text())
    made = found["metrics"][str(tmp_path / "made")]
    assert [f"{value:.4g}" for value in made.values()] == rows[1][1:]
    assert found["metrics"][TEST]["recall-segmenter-256-n20"] is None
    assert found["networks"]["segmenter-256"].startswith("segmentation model, Dice")
    pooled = found["sites"]["segmenter-256"][POOLED]
    assert [f"{pooled['windows']:,}", *(f"{value:.4g}" for value in pooled["frechet"].values())] == rows[4][1:]
    with pytest.raises(ConfigError, match=r"found\.json is there already"):
        CliRunner().invoke(app, given, catch_exceptions=False)


def test_command_takes_the_embedded_digits(tmp_path: Path) -> None:
    (tmp_path / "made/images").mkdir(parents=True)
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"made/images/{number}.png")
    given = ["compare", "digits", str(tmp_path / "made"), "--metric", "fid-segmenter-256-n4"]
    given += ["--overrides", "data.image_size=16 downstream.steps=1", "--json", str(tmp_path / "found.json")]
    assert CliRunner().invoke(app, given, catch_exceptions=False).exit_code == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found["metrics"]) == {TEST, str(tmp_path / "made")}
    assert found["sites"] == {}


def test_sets_whose_features_are_all_alike_are_said(tmp_path: Path) -> None:
    config = resolve(f"data=folder data.root={make_folder(tmp_path / 'real', sites=2, images=3)} data.image_size=16")
    sets = {"grey": [np.full((16, 16, 3), 50, np.uint8)] * 5}
    metrics = [parse_metric("fid-cnn-32-n5")]
    windows, remarks = open_windows(open_source(config.data), sets, 16, metrics), list[str]()
    compare(windows, metrics, {("cnn", 32): mean_colour}, remarks.append)
    assert remarks == ["cnn-32 sees no difference between the images of 'grey'."]
    remarks.clear()
    compare(windows, metrics, {("cnn", 32): lambda images: torch.ones(len(images), 2)}, remarks.append)
    assert remarks == [f"cnn-32 sees no difference between the images of the {TRAIN}: it tells nothing."]
    assert all_alike(torch.zeros(3, 2))
    assert not all_alike(torch.tensor([[1.0], [1.001]]))
    assert not all_alike(torch.ones(1, 2))
