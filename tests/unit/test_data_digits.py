"""The embedded digits: 1,797 real images, enlarged."""

from dataclasses import replace

import numpy as np
import pytest

from flower_dgan.config import DataConfig
from flower_dgan.data import DigitsSource, open_source
from flower_dgan.errors import ConfigError
from flower_dgan.resolve import resolve

CONFIG = DataConfig(
    "digits", None, 32, 1, (), None, None, (), (), 0.2, (), "none", "label-map", "images", "clients", None, (), ()
)


@pytest.fixture(scope="module")
def source() -> DigitsSource:
    return DigitsSource(CONFIG)


def test_entries(source: DigitsSource) -> None:
    # A fifth of 1,797 is 359.4.
    assert (len(source.train), len(source.test)) == (1438, 359)
    assert source.classes == 2
    assert not {entry.group for entry in source.train} & {entry.group for entry in source.test}
    entries = sorted((*source.train, *source.test), key=lambda entry: entry.name)
    # The data set begins 0, 1, 2, ... 9, 0.
    assert [entry.label for entry in entries[:11]] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert all(entry.site == f"digit-{entry.label}" for entry in entries)
    assert {(entry.height, entry.width) for entry in entries} == {(32, 32)}
    # Both sides have every digit.
    assert len({entry.label for entry in source.test}) == len({entry.label for entry in source.train}) == 10


def test_the_split_is_the_same_again(source: DigitsSource) -> None:
    assert DigitsSource(CONFIG).test == source.test
    assert len(DigitsSource(replace(CONFIG, test_fraction=0.5)).test) == 898


def test_pixels(source: DigitsSource) -> None:
    entries = sorted((*source.train, *source.test), key=lambda entry: entry.name)
    pairs = source.load([entries[1], entries[0]])
    image, label_map = pairs.images[1], pairs.label_maps[1]
    assert image.shape == (32, 32, 1)
    assert image.dtype == label_map.dtype == np.uint8
    np.testing.assert_array_equal(label_map, image[:, :, 0] >= 128)
    # Interpolated: the originals have 17 grey levels.
    assert len(np.unique(image)) > 17
    # The hole of the zero: dark inside, bright stroke to its left, dark margin.
    assert label_map[16, 16] == 0
    assert label_map[16, 9] == 1
    assert label_map[16, 1] == 0
    # The one has its stroke in the middle.
    assert pairs.label_maps[0][16, 16] == 1
    share = np.mean([label_map.mean() for label_map in source.load(source.test).label_maps])
    assert 0.2 < share < 0.4


def test_own_size_is_unchanged() -> None:
    source = DigitsSource(replace(CONFIG, image_size=8))
    entry = next(entry for entry in (*source.train, *source.test) if entry.name == "0000")
    pairs = source.load([entry])
    # Its first row is 0 0 5 13 9 1 0 0 of 16.
    assert pairs.images[0][0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert pairs.label_maps[0][0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]


def test_size_follows_the_configuration() -> None:
    source = open_source(replace(CONFIG, image_size=16))
    assert isinstance(source, DigitsSource)
    assert source.load(source.train[:1]).images[0].shape == (16, 16, 1)


def test_sites_bound_the_training_only() -> None:
    source = DigitsSource(replace(CONFIG, sites=("digit-3", "digit-8")))
    assert {entry.label for entry in source.train} == {3, 8}
    assert len({entry.label for entry in source.test}) == 10


def test_a_share_of_nothing_holds_nothing_out_and_no_setting_asks_for_it() -> None:
    source = DigitsSource(replace(CONFIG, test_fraction=0.0))
    assert (len(source.train), len(source.test)) == (1797, 0)
    with pytest.raises(ConfigError, match=r"data\.test_fraction"):
        resolve("data=digits data.test_fraction=0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": 3}, "data.channels=3: set data.channels=1"),
        ({"root": "data"}, "reads no data.root"),
        ({"table": "sites.csv"}, "reads no data.table"),
        ({"name_pattern": "(?P<site>.*)"}, "reads no data.name_pattern"),
        ({"sites": ("digit-10",)}, "Did you mean 'digit-1'"),
        ({"test_fraction": -0.1}, "not in"),
        ({"test_fraction": 1.0}, "not in"),
        ({"source": "digit"}, "Did you mean 'digits'"),
    ],
)
def test_settings_that_do_not_fit(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_source(replace(CONFIG, **change))  # type: ignore[arg-type]
