"""The file of scores by patient, and the scores themselves with a task whose predictions are given."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from flower_dgan.data.pairs import Pairs
from flower_dgan.errors import DataError
from flower_dgan.metrics import Compared
from flower_dgan.metrics.shared.class_mean import ClassMean
from flower_dgan.tasks.by_patient import HeldOut, score_by_patient
from flower_dgan.tasks.patient_scores import FILE, PatientScore, append_scores, read_scores
from flower_dgan.tasks.segmentation import Segmentation
from flower_dgan.tasks.task import Compare
from flower_dgan.tasks.tstr import score

FIRST = PatientScore("all", "Real-k+DGAN", "a,b", 20, 3, "patient", "p1", 4, {"dice": 1 / 3, "aji": 0.5})
SECOND = PatientScore("own", "FedAvg", "liver", 0, 3, "patient", "\udcff\nx", 2, {"dice": 1.0})


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_scores(tmp_path) == ()
    append_scores(tmp_path, [FIRST], ("dice", "aji"))
    append_scores(tmp_path, [SECOND], ("dice", "aji"))
    assert read_scores(tmp_path) == (FIRST, SECOND)
    assert (tmp_path / FILE).read_text(errors="surrogateescape").startswith("tested_on,row,member,real,")


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("all,r,m,1,0,patient,p,2,0.5\n", "row 2: .*'?argument|row 2"),
        ("some,r,m,1,0,patient,p,2,0.5,\n", "row 2: 'some' or 'patient' is unknown"),
        ("all,r,m,1,0,patient,p,2,nan,\n", "row 2: a figure is not finite"),
        ("all,r,m,one,0,patient,p,2,0.5,\n", "row 2: invalid literal"),
        ("all,r\n", "row 2: not enough values"),
    ],
)
def test_a_spoilt_row_is_named(tmp_path: Path, spoilt: str, message: str) -> None:
    append_scores(tmp_path, [], ("dice", "aji"))
    with (tmp_path / FILE).open("a") as file:
        file.write(spoilt)
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path)


def test_what_a_killed_run_was_writing_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append_scores(tmp_path, [FIRST], ("dice", "aji"))
    with (tmp_path / FILE).open("a") as file:
        file.write("own,FedAvg,li")
    assert read_scores(tmp_path) == (FIRST,)
    assert "The last 13 bytes of" in caplog.text


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("name,age\n")
    with pytest.raises(DataError, match="does not begin with the columns tested_on"):
        read_scores(tmp_path)


class Given(Segmentation):
    """Predicts what it was given, three windows at a time, as a task does in batches that end within an image."""

    def __init__(self, predicted: np.ndarray) -> None:
        self._predicted = predicted

    def predict(self, model: nn.Module, pairs: Pairs, image_size: int, kinds: frozenset[Compared]) -> Iterator[Compare]:
        windows = [
            label_map[top : top + 2, left : left + 2]
            for label_map in pairs.label_maps
            for top in range(0, len(label_map), 2)
            for left in range(0, len(label_map), 2)
        ]
        for start in range(0, len(windows), 3):
            true = np.stack(windows[start : start + 3])
            both = (true, self._predicted[start : start + 3])
            yield dict.fromkeys(kinds, both)


def pairs_of(*label_maps: list[list[int]]) -> Pairs:
    maps = tuple(np.array(each, np.uint8) for each in label_maps)
    return Pairs(tuple(each[:, :, None] for each in maps), maps, 2)


PAIRS = pairs_of([[1, 1], [0, 0]], [[0, 0], [0, 0]], [[1, 1, 0, 0]] * 4, [[0, 1], [0, 0]])
"""One window, one without anything, four windows, one window."""
PREDICTED = np.array(
    [
        [[1, 0], [0, 0]],  # p: one of two
        [[1, 0], [0, 0]],  # q: none there, one found
        [[1, 1], [1, 1]],  # p: four of four
        [[1, 0], [0, 0]],  # none there, one found
        [[1, 1], [1, 1]],
        [[0, 0], [0, 0]],
        [[0, 1], [0, 1]],  # r: one of one, and one more
    ]
)


def test_a_patients_windows_are_counted_together() -> None:
    found = score_by_patient(
        Given(PREDICTED), nn.Identity(), PAIRS, ("p", "q", "p", "r"), image_size=2, metrics=("dice", "iou")
    )
    # p: 1 + 8 common of 2 + 8 true and 1 + 8 + 1 predicted; r: 1 common of 1 and 2
    assert found == {
        "p": pytest.approx({"dice": 18 / 20, "iou": 9 / 11}),
        "q": {},
        "r": pytest.approx({"dice": 2 / 3, "iou": 1 / 2}),
    }


def test_all_images_of_one_patient_have_the_score_of_all() -> None:
    tested = HeldOut(PAIRS, ("p",) * 4, "patient", ("dice", "aji"))
    together = score(Given(PREDICTED), nn.Identity(), PAIRS, image_size=2, metrics=("dice", "aji"))
    assert tested.score(Given(PREDICTED), nn.Identity(), 2) == {"p": together}


def test_a_figure_that_is_not_finite_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClassMean, "value", lambda tally: float("nan"))
    found = score_by_patient(Given(PREDICTED), nn.Identity(), PAIRS, ("p",) * 4, image_size=2, metrics=("dice", "hd95"))
    assert list(found["p"]) == ["hd95"]


def test_images_of_one_patient_need_not_follow_each_other() -> None:
    order = [0, 2, 1, 3]
    windows = [[0], [1], [2, 3, 4, 5], [6]]
    turned = replace(
        PAIRS, images=tuple(PAIRS.images[k] for k in order), label_maps=tuple(PAIRS.label_maps[k] for k in order)
    )
    predicted = PREDICTED[[index for k in order for index in windows[k]]]
    how = {"image_size": 2, "metrics": ("dice",)}
    found = score_by_patient(Given(predicted), nn.Identity(), turned, ("p", "p", "q", "r"), **how)
    assert found == score_by_patient(Given(PREDICTED), nn.Identity(), PAIRS, ("p", "q", "p", "r"), **how)
