"""Whatever a folder holds: the check, the preparation and a run agree with the truth, or refuse it in words."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flower_dgan.config import DataConfig
from flower_dgan.data import apply_to_images, apply_to_label_maps, grid_views, open_source, sizes_of
from flower_dgan.data.check import check_data
from flower_dgan.data.image_files import read_image, read_mask
from flower_dgan.data.pairs import Pairs
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.resolve import resolve
from tests.property.folders import ANYTHING, SOUND, Folder, Pixels, folders

EXAMPLES = int(os.environ.get("FLOWER_DGAN_EXAMPLES", "300"))
"""How many folders to compose; 5,000 once before a release."""
SIDE = 8
# JPEG of flat blocks.
LOSSY = 6


@pytest.fixture(scope="module")
def base() -> DataConfig:
    return resolve("data=folder data.train_splits=[tr] data.test_splits=[te] data.augmentation=none").data


def as_read(shown: Pixels, channels: int) -> NDArray[np.int64]:
    """Return an image of which colours have become grey (ITU-R BT.601), or grey has become colours."""
    wide = shown.astype(np.int64)
    if channels == 3:
        return wide if wide.ndim == 3 else np.stack([wide] * 3, axis=2)
    if wide.ndim == 3 and wide.shape[2] == 3:
        wide = np.rint(wide @ np.array([0.299, 0.587, 0.114])).astype(np.int64)
    return wide[..., None]


def require_equal(name: str, image: NDArray[Any], shown: Pixels, folder: Folder) -> None:
    expected = as_read(shown, folder.channels)
    assert image.shape == expected.shape, name
    # one step for the rounding of grey
    most = LOSSY if name in folder.lossy else int(shown.ndim == 3 and folder.channels == 1)
    assert np.abs(image.astype(np.int64) - expected).max() <= most, name


def require_run(config: DataConfig, folder: Folder) -> None:
    """Open the pairs as a node does, and draw one batch of all windows."""
    source = open_source(config)
    entries = [*source.train, *source.test]
    assert sorted(entry.name for entry in entries) == sorted(folder.images)
    assert source.classes == folder.classes
    tests = {entry.name for entry in source.test}
    for entry in entries:
        if folder.origins:
            split, site, group = folder.origins[entry.name]
            assert (entry.site, entry.group, entry.name in tests) == (site, group, split == "te")
    pairs: Pairs = source.load(entries)
    for entry, image, label_map in zip(entries, pairs.images, pairs.label_maps, strict=True):
        require_equal(entry.name, image, folder.images[entry.name], folder)
        assert label_map.tolist() == folder.masks[entry.name].tolist()
    views = grid_views(sizes_of(pairs.images), SIDE)
    batch = apply_to_images(pairs.images, views, SIDE)
    ids = apply_to_label_maps(pairs.label_maps, folder.classes, views, SIDE).argmax(1)
    for place, index in ((0, 0), (len(batch) - 1, len(entries) - 1)):
        top, left = (0, 0) if place == 0 else views.windows[place][:2].tolist()
        window = np.s_[top : top + SIDE, left : left + SIDE]
        shown = folder.images[entries[index].name]
        require_equal(
            entries[index].name, ((batch[place] + 1) * 127.5).round().numpy().transpose(1, 2, 0), shown[window], folder
        )
        assert ids[place].tolist() == folder.masks[entries[index].name][window].tolist()


def require_prepared(root: Path, output: Path, folder: Folder) -> None:
    result = prepare("folder", root, output, PrepareSettings())
    assert result.pairs == len(folder.images)
    for name, shown in folder.images.items():
        (path,) = (output / "images").glob(f"{_escaped(name)}.*")
        require_equal(name, read_image(path, folder.channels), shown, folder)
        mask = read_mask(output / f"masks/{name}.png")
        assert (mask > 0 if mask.max() == 255 else mask).astype(int).tolist() == folder.masks[name].tolist()


def _escaped(name: str) -> str:
    return "".join(f"[{each}]" if each in "[*?" else each for each in name)


def outcome(expected: str, what: str, attempt: Any) -> bool:
    """Return whether an attempt succeeded; any error but those in words is a failure of the test."""
    refusal: DataError | ConfigError | None = None
    try:
        attempt()
    except (DataError, ConfigError) as error:
        refusal = error
    assert expected == ANYTHING or (refusal is None) == (expected == SOUND), f"{what}: {expected}, but {refusal}"
    return refusal is None


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, derandomize=True
)
@given(data=st.data())
def test_every_folder_is_read_rightly_or_refused(data: st.DataObject, base: DataConfig) -> None:
    place = Path(mkdtemp())
    try:
        root = place / "in"
        folder = data.draw(folders(root))
        event(folder.defect.split(":")[0])
        config = replace(
            base,
            root=str(root),
            name_pattern=None,
            table=None if folder.table is None else str(folder.table),
            channels=folder.channels,
            classes=folder.classes,
            image_size=SIDE,
        )

        def check(checked: DataConfig) -> None:
            if problems := check_data(checked).problems:
                raise DataError(problems[0])

        # Of damaged bytes pixels may differ, and nothing else can be said of them.
        loose = folder.to_run == ANYTHING
        run = (lambda: open_source(config)) if loose else (lambda: require_run(config, folder))
        passes = outcome(folder.to_run, "check", lambda: check(config))
        runs = outcome(folder.to_run, "a run", run)
        assert runs or not passes, "what the check passes, a run refuses"
        loose = folder.to_prepare == ANYTHING
        output = place / "out"
        attempt = (
            (lambda: prepare("folder", root, output, PrepareSettings()))
            if loose
            else (lambda: require_prepared(root, output, folder))
        )
        if outcome(folder.to_prepare, "prepare", attempt) and folder.to_run == SOUND:
            assert outcome(SOUND, "a check of what was prepared", lambda: check(replace(config, root=str(output))))
    finally:
        shutil.rmtree(place)
