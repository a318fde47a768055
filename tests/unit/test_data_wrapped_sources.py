"""Constant label maps: the class of the image, or nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flower_dgan.config import DataConfig
from flower_dgan.data import Views, apply_to_label_maps, open_source
from flower_dgan.errors import ConfigError
from flower_dgan.resolve import resolve
from tests.pairs import make_folder

DIGITS = DataConfig(
    "digits", None, 16, 1, (), None, None, (), (), 0.2, (), "none", "label-map", "images", "clients", None, (), ()
)


def test_the_sources_own_label_maps_are_kept() -> None:
    assert type(open_source(DIGITS)).__name__ == "DigitsSource"


def test_class_is_constant_over_the_image() -> None:
    own, source = open_source(DIGITS), open_source(replace(DIGITS, condition="class"))
    assert (source.classes, source.image_classes) == (10, 10)
    assert (source.train, source.test) == (own.train, own.test)
    pairs = source.load(source.test[:20])
    assert pairs.classes == 10
    for entry, label_map in zip(source.test[:20], pairs.label_maps, strict=True):
        np.testing.assert_array_equal(label_map, np.full((16, 16), entry.label, np.uint8))
    for image, expected in zip(pairs.images, own.load(own.test[:20]).images, strict=True):
        np.testing.assert_array_equal(image, expected)


def test_none_is_zero_and_its_one_hot_is_one() -> None:
    source = open_source(replace(DIGITS, condition="none"))
    pairs = source.load(source.test[:2])
    assert (source.classes, pairs.classes) == (1, 1)
    assert not np.any(pairs.label_maps)
    views = Views(np.array([1, 0, 1]), np.zeros((3, 4), np.int16))
    np.testing.assert_array_equal(apply_to_label_maps(pairs.label_maps, 1, views, 16), np.ones((3, 1, 16, 16)))


def test_the_number_of_classes_is_the_data_sets() -> None:
    """Clients that hold other classes must agree on it."""
    source = open_source(replace(DIGITS, condition="class", sites=("digit-3",)))
    assert {entry.label for entry in source.train} == {3}
    assert source.classes == 10


def test_a_folder_has_no_classes_of_images(tmp_path: Path) -> None:
    root = str(make_folder(tmp_path / "data", size=20))
    pattern = "(?P<split>tr|te)_(?P<site>[^_]+)_(?P<group>[^_]+)_.*"
    config = DataConfig(
        "folder",
        root,
        16,
        3,
        (),
        pattern,
        None,
        ("tr",),
        ("te",),
        0.2,
        (),
        "none",
        "none",
        "images",
        "clients",
        None,
        (),
        (),
    )
    source = open_source(config)
    assert (source.classes, source.image_classes) == (1, 0)
    assert source.load(source.train).label_maps[0].shape == (20, 20)
    with pytest.raises(ConfigError, match=r"data.source=folder has images without one: set data.condition=label-map"):
        open_source(replace(config, condition="class"))


def test_label_maps_as_images() -> None:
    """Black and white, those of the same entries of the source itself, without condition."""
    config = replace(DIGITS, condition="none", target="label-maps")
    source, own = open_source(config), open_source(DIGITS)
    assert source.train == own.train
    pairs, given = source.load(source.train[:5]), own.load(own.train[:5])
    assert pairs.classes == 1
    for image, blank, label_map in zip(pairs.images, pairs.label_maps, given.label_maps, strict=True):
        np.testing.assert_array_equal(image[..., 0], label_map * 255)
        assert not blank.any()


def test_label_maps_as_images_are_of_two_classes(tmp_path: Path) -> None:
    make_folder(tmp_path / "data")
    for mask in (tmp_path / "data/masks").iterdir():
        Image.fromarray(np.minimum(np.asarray(Image.open(mask)), 2)).save(mask)
    overrides = f"data=folder data.root='{tmp_path}/data' data.condition=none data.target=label-maps downstream=none"
    with pytest.raises(ConfigError, match=r"draws label maps on nothing, in grey: set data.condition=none"):
        resolve(f"{overrides} model=dcgan")
    with pytest.raises(ConfigError, match="augmentation=colour makes colours between the 0 and 255 of label maps"):
        resolve(f"{overrides} data.channels=1 model=dcgan data.augmentation=colour")
    with pytest.raises(ConfigError, match="wants masks of background and foreground, and these have 3 classes"):
        open_source(resolve(f"{overrides} data.channels=1 model=dcgan").data)
