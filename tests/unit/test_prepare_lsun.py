"""LSUN from tiny LMDB databases in its own layout, and databases that are wrong."""

import os
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from flower_dgan.data.folder_source import FolderSource
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.errors import ConfigError, DataError
from flower_dgan.resolve import resolve

SIZE_4 = PrepareSettings(size=4)


def _encoded(value: int, kind: str) -> bytes:
    """Return an image of one colour, 6 x 8 pixels."""
    content = BytesIO()
    Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(content, kind)
    return content.getvalue()


def _write(folder: Path, images: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=2**20) as environment, environment.begin(write=True) as transaction:
        for key, content in images.items():
            transaction.put(key.encode(), content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "lsun"
    for number, category in enumerate(("church_outdoor", "tower")):
        train = {f"{number}a{key}": _encoded(40 * key, "WEBP") for key in range(3)}
        _write(root / f"{category}_train_lmdb", train)
        _write(root / f"{category}_val_lmdb", {f"{number}b0": _encoded(200, "JPEG")})
    return root


def test_categories_are_sites(root: Path, tmp_path: Path) -> None:
    assert prepare("lsun", root, tmp_path / "out", SIZE_4).pairs == 8
    assert not (tmp_path / "out/masks").exists()
    source = FolderSource(resolve(f"data=lsun data.root='{tmp_path}/out' data.image_size=4 model=small").data)
    assert [(entry.name, entry.site, entry.group) for entry in source.train][2:4] == [
        ("tr_church-outdoor_0a2_0", "church-outdoor", "0a2"),
        ("tr_tower_1a0_0", "tower", "1a0"),
    ]
    assert [entry.name for entry in source.test] == ["te_church-outdoor_0b0_0", "te_tower_1b0_0"]
    pairs = source.load([source.train[2], source.test[0]])
    assert [image.shape for image in pairs.images] == [(4, 4, 3)] * 2
    # both formats lose a little
    np.testing.assert_allclose(pairs.images[0], 80, atol=3)
    np.testing.assert_allclose(pairs.images[1], 200, atol=3)


def test_it_goes_on_where_it_was(root: Path, tmp_path: Path) -> None:
    prepare("lsun", root, tmp_path / "out", SIZE_4)
    (tmp_path / "out/images/tr_tower_1a1_0.png").unlink()
    assert prepare("lsun", root, tmp_path / "out", SIZE_4).made == 1


def test_an_image_that_cannot_be_read(root: Path, tmp_path: Path) -> None:
    _write(root / "tower_val_lmdb", {"1b1": _encoded(9, "WEBP")[:30], "1b2": _encoded(9, "PNG")})
    with pytest.raises(DataError, match=r"2 of 10 originals .*, the first one: .*tower_val_lmdb/1b1 cannot be read"):
        prepare("lsun", root, tmp_path / "out", SIZE_4)
    result = prepare("lsun", root, tmp_path / "out", PrepareSettings(size=4, skip_unreadable=True))
    assert (result.pairs, len(result.unreadable)) == (8, 2)


def test_wrong_layouts(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out"
    with pytest.raises(DataError, match=r"no <category>_train_lmdb and no <category>_val_lmdb. Expected is"):
        prepare("lsun", root / "tower_train_lmdb", output, SIZE_4)
    database = root / "tower_val_lmdb/data.mdb"
    size = database.stat().st_size
    os.truncate(database, size - 1)
    with pytest.raises(DataError, match=r"data.mdb has .* bytes: unpack tower_val_lmdb.zip again"):
        prepare("lsun", root, output, SIZE_4)
    database.write_bytes(b"no database")
    with pytest.raises(DataError, match=r"tower_val_lmdb cannot be read as LMDB .*: unpack tower_val_lmdb.zip again"):
        prepare("lsun", root, output, SIZE_4)
    for folder in root.glob("*_val_lmdb"):
        folder.rename(folder.with_name(folder.name.replace("_val_", "_test_")))
    with pytest.raises(DataError, match=r"has no <category>_val_lmdb. Expected"):
        prepare("lsun", root, output, SIZE_4)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    (root / "tower_val_lmdb").mkdir()
    with pytest.raises(ConfigError, match=r"needs lmdb, which is not installed: pip install 'flower-dgan\[lsun\]'"):
        prepare("lsun", root, output, SIZE_4)
    assert not output.exists()
