"""Centre lines, by which objects are measured: of bars, discs and rings whose length is known."""

import numpy as np
import pytest

from flower_dgan.data.centre_lines import centre_line, is_closed, length, lines_of
from flower_dgan.data.class_maps import GROUND, LINE, class_map
from flower_dgan.data.object_masks import Bits, ObjectMasks, of_stack, region_of
from flower_dgan.tasks.instances.tracing import Scale, trace

ROWS, COLUMNS = np.mgrid[:160, :800]
FROM_MIDDLE = np.hypot(ROWS - 80, COLUMNS - 400)


def rod(long: int, wide: int) -> Bits:
    """Return a bar from left to right with round ends, so many pixels from tip to tip."""
    beyond = np.maximum(abs(COLUMNS - 400) - (long - wide) / 2, 0)
    drawn: Bits = np.hypot(beyond, ROWS - 80) <= wide / 2
    return drawn


@pytest.mark.parametrize(("long", "wide"), [(60, 8), (60, 30), (600, 40), (700, 100)])
def test_a_line_goes_on_to_the_tips_of_wide_objects(long: int, wide: int) -> None:
    assert length(centre_line(region_of(rod(long, wide)), 64)) == pytest.approx(long, abs=3)


@pytest.mark.parametrize("radius", [3, 5, 8, 20, 40])
def test_a_disc_has_its_diameter(radius: int) -> None:
    assert length(centre_line(region_of(radius >= FROM_MIDDLE), 64)) == pytest.approx(2 * radius, abs=1.5)


def test_a_ring_has_no_tips() -> None:
    line = centre_line(region_of((FROM_MIDDLE <= 24) & (FROM_MIDDLE >= 16)), 64)
    assert length(line) == pytest.approx(2 * np.pi * 20, rel=0.03)
    assert is_closed(line)
    assert not is_closed(centre_line(region_of(FROM_MIDDLE <= 1)))


def traced(drawn: np.ndarray, foreground: np.ndarray, enlarged: int = 1) -> ObjectMasks:
    line = (drawn == LINE).astype(np.float32)
    return trace(foreground.astype(np.float32), np.zeros(drawn.shape, np.float32), line, Scale(100, 4), enlarged)


def test_what_was_traced_is_measured_along_its_line_though_the_mask_is_in_pieces() -> None:
    worm = (abs(ROWS - 80) <= 4) & (abs(COLUMNS - 400) <= 50)
    drawn = class_map(of_stack(worm[None]))
    foreground = (drawn != GROUND) & (abs(COLUMNS - 400) > 1)  # with a gap of three columns
    (line,) = lines_of(traced(drawn, foreground), 64)
    assert length(line) == pytest.approx(100, abs=2)


@pytest.mark.parametrize("enlarged", [1, 2])
def test_traced_lines_go_from_tip_to_tip(enlarged: int) -> None:
    drawn = class_map(of_stack(rod(100, 8)[None]))
    drawn[:, :360] = np.where(drawn[:, :360] == LINE, 1, drawn[:, :360])  # the model's line ends before the tip
    found = traced(drawn, drawn != GROUND, enlarged)
    (line,) = found.lines
    assert sorted(line[[0, -1], 1].tolist()) == pytest.approx([350 * enlarged, 450 * enlarged], abs=1.5 * enlarged)


def test_a_traced_ring_stays_closed() -> None:
    drawn = np.where(abs(FROM_MIDDLE - 16) <= 4, 1, 0)
    drawn[abs(FROM_MIDDLE - 16) <= 1] = LINE
    (line,) = traced(drawn, drawn > 0).lines
    assert length(line) == pytest.approx(2 * np.pi * 16, rel=0.08)
