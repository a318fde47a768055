"""The tables of what each member gains, from scores made by hand."""

from collections.abc import Mapping

import pytest

from flower_dgan.report.member_figure import gain_figure
from flower_dgan.report.member_tables import members_section
from flower_dgan.tasks.patient_scores import PatientScore, TestedOn, Unit


def scores(
    row: str,
    member: str,
    values: Mapping[str, float],
    *,
    tested_on: TestedOn = "all",
    real: int = 0,
    seed: int = 0,
    unit: Unit = "patient",
) -> list[PatientScore]:
    return [
        PatientScore(tested_on, row, member, real, seed, unit, patient, 4, {"dice": value, "hd95": 10 * value})
        for patient, value in values.items()
    ]


SIX = dict.fromkeys("pqrstu", 0.5)


def lines(section: str, row: str) -> list[list[str]]:
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()]
    return [cells for cells in found if row in cells]


def test_a_member_has_its_gain_its_spread_and_its_interval() -> None:
    run = scores("Real-k", "liver", SIX, real=20) + scores("Real-k", "liver", SIX, real=20, seed=1)
    run += scores("Real-k+DGAN", "liver", dict.fromkeys("pqrstu", 0.7), real=20)
    run += scores("Real-k+DGAN", "liver", dict.fromkeys("pqrstu", 0.6), real=20, seed=1)
    (cells,) = lines(members_section([run]), "Real-k+DGAN")
    # 0.2 and 0.1: mean 0.15, sample standard deviation 0.1 / sqrt(2); less of HD95 would be a gain
    assert cells == [
        *("liver", "20", "Real-k+DGAN", "6", "2", "0.500", "0.650", "+0.150 ± 0.071", "+0.150 to +0.150", "better"),
        "-1.500 (-1.500 to -1.500)",
    ]


def test_seeds_are_paired_within_a_run_and_runs_are_not_mixed() -> None:
    first = scores("Real-k", "liver", SIX, real=20) + scores("Real-k+DGAN", "liver", {"p": 0.6}, real=20)
    second = scores("Real-k", "liver", {"p": 0.1}, real=20) + scores("Real-k+DGAN", "liver", {"p": 0.4}, real=20)
    (cells,) = lines(members_section([first, second]), "Real-k+DGAN")
    # gains of p, which alone was scored by both: 0.1 and 0.3
    assert cells[3:8] == ["1", "2", "0.300", "0.500", "+0.200 ± 0.141"]


def test_trainings_of_a_run_count_by_their_mean_where_there_are_several_runs() -> None:
    def run(*gains: float) -> list[PatientScore]:
        made = []
        for seed, gained in enumerate(gains):
            made += scores("Real-k", "liver", SIX, real=20, seed=seed)
            made += scores("Real-k+DGAN", "liver", dict.fromkeys("pqrstu", 0.5 + gained), real=20, seed=seed)
        return made

    # one run: 0.3 and -0.1; as one of two runs it is 0.1, beside 0.2
    assert lines(members_section([run(0.3, -0.1)]), "Real-k+DGAN")[0][7:10:2] == ["+0.100 ± 0.283", "seeds differ"]
    both = lines(members_section([run(0.3, -0.1), run(0.2, 0.2)]), "Real-k+DGAN")[0]
    assert both[7:10:2] == ["+0.150 ± 0.071", "better"]


def test_a_row_that_all_share_is_held_against_each_members_own_and_all_together() -> None:
    run = scores("Real-k", "a", {"p": 0.2}, real=5) + scores("Real-k", "b", {"p": 0.6}, real=7)
    run += scores("FedAvg", "", {"p": 0.5})
    found = lines(members_section([run]), "FedAvg")
    assert [cells[:2] + cells[5:10] for cells in found] == [
        ["a", "5", "0.200", "0.500", "+0.300", "-", "too few patients"],
        ["b", "7", "0.600", "0.500", "-0.100", "-", "too few patients"],
        ["all members", "-", "0.400", "0.500", "+0.100", "-", "too few patients"],
    ]


def test_own_patients_are_a_table_of_their_own_with_all_folds() -> None:
    run = scores("Real-k", "a", {"p": 0.2}, real=4, tested_on="own")
    run += scores("Real-k", "a", {"q": 0.4}, real=6, tested_on="own")
    run += scores("Real-k+DGAN", "a", {"p": 0.3}, real=4, tested_on="own")
    run += scores("Real-k+DGAN", "a", {"q": 0.7}, real=6, tested_on="own")
    section = members_section([run])
    (cells,) = lines(section, "Real-k+DGAN")
    assert cells[:8] == ["a", "4 to 6", "Real-k+DGAN", "2", "1", "0.300", "0.500", "+0.200"]
    assert "Tested on the test split" not in section


def test_the_curve_is_the_mean_of_the_members_that_have_so_many() -> None:
    run = []
    for member, real, before, after in (("a", 2, 0.1, 0.4), ("a", 4, 0.3, 0.4), ("a", 8, 0.5, 0.5), ("b", 3, 0.2, 0.2)):
        for seed in (0, 1):
            run += scores("Real-k", member, dict.fromkeys("pqrstu", before), real=real, seed=seed)
            run += scores("Real-k+DGAN", member, dict.fromkeys("pqrstu", after), real=real, seed=seed)
    section = members_section([run])
    curve = section.split("against the number of a member's real images")[1]
    assert [cells[:7] for cells in lines(curve, "6")] == [
        ["2", "1", "6", "2", "0.100", "0.400", "+0.300 ± 0.000"],
        ["4", "1", "6", "2", "0.300", "0.400", "+0.100 ± 0.000"],
        ["all that it has", "2", "6", "2", "0.350", "0.350", "+0.000 ± 0.000"],
    ]
    assert "A gain is shown with 4 at most." in section
    assert [cells[1] for cells in lines(section.split("\n\nReal-k+DGAN against")[0], "Real-k+DGAN")] == ["8", "3", "-"]


def test_the_figure_has_a_line_a_member_up_to_all_that_it_has_and_their_mean() -> None:
    run = []
    for member, real, after in (("$a", 2, 0.8), ("$a", 8, 0.6), ("b", 2, 0.6), ("b", 3, 0.4)):
        run += scores("Real-k", member, SIX, real=real)
        run += scores("Real-k+DGAN", member, dict.fromkeys("pqrstu", after), real=real)
    figure = gain_figure([run])
    assert figure is not None
    (axes,) = figure.axes
    drawn = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}
    assert drawn[r"\$a"] == [[2, pytest.approx(0.3)], [8, pytest.approx(0.1)]]
    assert drawn["b"] == [[2, pytest.approx(0.1)], [3, pytest.approx(-0.1)]]
    assert [container.lines[0].get_xydata().tolist() for container in axes.containers] == [[[2, pytest.approx(0.2)]]]
    assert "(gains.png)" in members_section([run], with_figure=True)
    assert "(gains.png)" not in members_section([run])
    figure.draw_without_rendering()


def test_there_is_no_figure_where_fewer_images_were_not_tried() -> None:
    run = scores("Real-k", "a", SIX, real=5) + scores("Real-k+DGAN", "a", SIX, real=5)
    assert gain_figure([run]) is gain_figure([]) is None
    assert "gains.png" not in members_section([run], with_figure=True)


@pytest.mark.parametrize(("unit", "says"), [("image", True), ("patient", False)])
def test_images_that_stand_for_themselves_are_called_so(unit: Unit, says: bool) -> None:
    run = scores("Real-k", "a", SIX, real=5, unit=unit) + scores("Real-k+DGAN", "a", SIX, real=5, unit=unit)
    section = members_section([run])
    assert ("each image stands for itself" in section) is says
    assert f"| {unit}s | seeds |" in section


def test_nothing_is_none() -> None:
    assert members_section([]) == members_section([[]]) == "none"
