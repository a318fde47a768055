"""Annotations of Aperio ImageScope: holes, rectangles and ellipses, layers, and files that are none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flower_dgan.cli.main import app
from flower_dgan.data.image_files import read_mask
from flower_dgan.data.prepare import PrepareSettings, prepare
from flower_dgan.data.prepare.aperio import draw_regions
from flower_dgan.errors import ConfigError, DataError

Outline = list[tuple[float, float]]
BARCODE = "TCGA-A7-A13E-01Z-00-DX1"


def box(left: float, top: float, right: float, bottom: float) -> Outline:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def region(outline: Outline, **attributes: str) -> str:
    said = "".join(f' {name}="{value}"' for name, value in attributes.items())
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in outline)
    return f"<Region{said}><Vertices>{vertices}</Vertices></Region>"


def layer(*regions: str, **attributes: str) -> str:
    said = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<Annotation{said}><Regions>{''.join(regions)}</Regions></Annotation>"


def write(path: Path, *layers: str) -> Path:
    path.write_text(f"<Annotations>{''.join(layers)}</Annotations>")
    return path


SQUARE = region(box(4, 4, 44, 44), NegativeROA="0")
HOLE = region(box(14, 14, 34, 34), NegativeROA="1")


@pytest.mark.parametrize("order", [(SQUARE, HOLE), (HOLE, SQUARE)])
def test_a_hole_is_no_object(tmp_path: Path, order: tuple[str, str]) -> None:
    drawn = draw_regions(write(tmp_path / "a.xml", layer(*order)), 64, 64)
    # 40 x 40 less 20 x 20
    assert (drawn == 1).sum() == 1200
    assert set(np.unique(drawn).tolist()) == {0, 1}
    assert not drawn[14:34, 14:34].any()


def test_holes_and_the_islands_in_them(tmp_path: Path) -> None:
    island, beside = region(box(20, 20, 24, 24)), region(box(46, 4, 50, 8))
    over_edge = region(box(40, 0, 48, 6), NegativeROA="1")
    drawn = draw_regions(write(tmp_path / "a.xml", layer(island, SQUARE, HOLE, beside, over_edge)), 64, 64)
    assert (drawn == 1).sum() == 16  # the island, though the square is drawn after it
    assert (drawn == 2).sum() == 1200 - 8  # x from 40 to 44, y from 4 to 6
    assert (drawn == 3).sum() == 16 - 4  # x from 46 to 48, y from 4 to 6
    assert draw_regions(write(tmp_path / "b.xml", layer(SQUARE, region(box(50, 50, 60, 60), NegativeROA="1"))), 64, 64)[
        4:44, 4:44
    ].all()


@pytest.mark.parametrize("corners", [[(2, 10), (42, 30)], box(2, 10, 42, 30), [(42, 30), (2, 10)]])
def test_ellipses_and_rectangles_are_given_by_their_corners(tmp_path: Path, corners: Outline) -> None:
    drawn = draw_regions(write(tmp_path / "a.xml", layer(region(corners, Type="2"))), 40, 50)
    # centre (22, 20), radii 20 and 10: every pixel's centre by the equation of an ellipse
    expected = [[((x + 0.5 - 22) / 20) ** 2 + ((y + 0.5 - 20) / 10) ** 2 <= 1 for x in range(50)] for y in range(40)]
    assert (drawn == 1).tolist() == expected
    assert abs(drawn.sum() - np.pi * 20 * 10) < 10
    drawn = draw_regions(write(tmp_path / "a.xml", layer(region(corners, Type="1"))), 40, 50)
    assert drawn[10:30, 2:42].all()
    assert drawn.sum() == 20 * 40


def test_an_elliptic_hole_and_an_arrow(tmp_path: Path) -> None:
    hole = region([(14, 14), (34, 34)], Type="2", NegativeROA="1")
    arrow = region([(0, 0), (60, 0), (60, 60)], Type="3")
    drawn = draw_regions(write(tmp_path / "a.xml", layer(SQUARE, hole, arrow)), 64, 64)
    assert set(np.unique(drawn).tolist()) == {0, 1}
    assert abs(int((drawn == 1).sum()) - (1600 - np.pi * 100)) < 5


def _slide(root: Path, *layers: str) -> Path:
    root.mkdir()
    Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(root / f"{BARCODE}.tif")
    return write(root / f"{BARCODE}.xml", *layers)


def test_of_several_layers_one_is_chosen(tmp_path: Path) -> None:
    frame = layer(region(box(2, 2, 94, 94)), Id="2", Name="region of interest")
    _slide(tmp_path / "in", layer(SQUARE, HOLE, Id="1", Name="nuclei"), frame)
    with pytest.raises(
        DataError, match=r"\.xml has regions in 2 layers, 1 'nuclei' \(2 regions\), 2 'region of .*--layer"
    ):
        prepare("monuseg", tmp_path / "in", tmp_path / "out", PrepareSettings(skip_unreadable=True))
    for number, chosen in enumerate((("1",), ("nuclei",))):
        out = tmp_path / str(number)
        prepare("monuseg", tmp_path / "in", out, PrepareSettings(layers=chosen))
        assert (read_mask(out / "masks/tr_breast_A7-A13E_0.png") > 0).sum() == 1200
    command = ["data", "prepare", "kumar", str(tmp_path / "in"), str(tmp_path / "all"), "--layer", "1", "--layer", "2"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (read_mask(tmp_path / "all/masks/tr_breast_A7-A13E_0.png") > 0).sum() == 92 * 92
    with pytest.raises(DataError, match=r"has none of --layer cells, but 1 'nuclei'"):
        prepare("monuseg", tmp_path / "in", tmp_path / "none", PrepareSettings(layers=("cells",)))
    with pytest.raises(ConfigError, match="--layer is for kumar, monuseg, not for whu"):
        prepare("whu", tmp_path / "in", tmp_path / "none", PrepareSettings(layers=("1",)))


def test_a_layer_without_regions_is_none(tmp_path: Path) -> None:
    drawn = draw_regions(write(tmp_path / "a.xml", layer(Name="empty"), layer(SQUARE)), 64, 64)
    assert drawn.sum() == 1600


def test_annotations_of_another_image_or_no_numbers(tmp_path: Path) -> None:
    xml = _slide(tmp_path / "in", layer(region(box(500, 500, 540, 540))))
    with pytest.raises(DataError, match=r"No region of .*\.xml covers a pixel of .*\.tif"):
        prepare("monuseg", tmp_path / "in", tmp_path / "out", PrepareSettings())
    for wrong in (
        write(xml, layer(region([(0, 0), (float("nan"), 1), (2, 2)]))),
        write(xml, layer("<Region><Vertices><Vertex X='1'/></Vertices></Region>")),
    ):
        with pytest.raises(DataError, match="is no annotation of Aperio ImageScope"):
            draw_regions(wrong, 8, 8)
    xml.write_bytes(b'<?xml version="1.0" encoding="no-such"?><Annotations/>')
    with pytest.raises(DataError, match="is no annotation of Aperio ImageScope"):
        draw_regions(xml, 8, 8)
    write(xml, layer(HOLE))
    with pytest.raises(DataError, match="has 0 regions, not 1 to 65,535"):
        draw_regions(xml, 64, 64)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "windows-1252"])
def test_annotations_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.xml"
    declared = "" if encoding == "utf-8-sig" else f'<?xml version="1.0" encoding="{encoding}"?>'
    text = f"{declared}<Annotations>{layer(SQUARE, Name='Zellkerne Köln')}</Annotations>"
    path.write_bytes(text.encode(encoding))
    assert draw_regions(path, 64, 64).sum() == 1600
    assert draw_regions(path, 64, 64, ["Zellkerne Köln"]).sum() == 1600
