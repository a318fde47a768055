"""The benchmarks' own arithmetic: which runs, what is left to do, what the tables say."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from flower_dgan.data import open_source
from flower_dgan.gan.exchange import Feedback
from flower_dgan.networks.build import ImageShape
from flower_dgan.resolve import resolve
from flower_dgan.run.round_records import ClientRound, Round
from flower_dgan.run.run_records import RunMetrics

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RUN = {"data": "digits", "exchanges": 4, "generator_steps": 2, "seed": 0}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module(request.param)


def tstr(messages: int, dice: float, **other: Any) -> dict[str, Any]:
    found = {"messages": messages, "images": 128 * messages, "seconds": 0.5 * messages, "dice": dice, "iou": 0.1}
    return {"kind": "tstr", **RUN, **found, **other}


def stopped(messages: int, budget: float) -> dict[str, Any]:
    return {"kind": "stopped", **RUN, "messages": messages, "budget_seconds": budget}


LINES = [
    {"kind": "real-all", "data": "digits", "seed": 0, "dice": 0.8, "iou": 0.7},
    {"kind": "untrained", "data": "digits", "seed": 0, "dice": 0.2, "iou": 0.1},
    tstr(5, 0.4),
    tstr(5, 0.6, seed=1),
    tstr(10, 0.72),
]


@pytest.mark.parametrize("script", ["bundles"], indirect=True)
def test_steps_divide_exchanges(script: ModuleType) -> None:
    grid = script.configurations([16, 1, 6], ["1", "2", "4", "S"])
    assert grid == [(1, 1), (6, 1), (6, 2), (6, 6), (16, 1), (16, 2), (16, 4), (16, 16)]


@pytest.mark.parametrize("script", ["bundles"], indirect=True)
def test_only_what_is_not_there_is_measured(script: ModuleType) -> None:
    assert script.open_checkpoints(LINES, RUN, [20, 10, 5], 60) == [20]
    assert script.open_checkpoints(LINES, RUN | {"seed": 1}, [20, 10, 5], 60) == [10, 20]
    assert script.open_checkpoints(LINES, RUN | {"exchanges": 16}, [5], 60) == [5]
    assert script.open_checkpoints(LINES, RUN, [5, 10], 60) == []


@pytest.mark.parametrize("script", ["bundles"], indirect=True)
def test_a_stopped_run_goes_on_with_a_larger_budget_only(script: ModuleType) -> None:
    lines = [*LINES, stopped(12, budget=60)]
    assert script.open_checkpoints(lines, RUN, [10, 20], 60) == []
    assert script.open_checkpoints(lines, RUN, [10, 20], 61) == [20]


@pytest.mark.parametrize("script", ["bundles_report"], indirect=True)
def test_table_shows_means_and_shares(script: ModuleType) -> None:
    text = script.table([*LINES, stopped(12, budget=60)])
    assert "Real-All: 0.800. Untrained generator: 0.200 (25 %)." in text
    assert "| 4 | 2 | 128 | 0.500 ± 0.141 (62 %) | 0.720 (90 %) | 0.50 |" in text
    assert "S = 4, 2 steps, seed 0 was stopped after 12 messages: the budget of 60 s was spent." in text
    assert "stopped" not in script.table([*LINES, stopped(12, budget=60), tstr(20, 0.7)])


@pytest.mark.parametrize("script", ["bundles_report"], indirect=True)
def test_a_configuration_without_a_measurement_is_in_the_table(script: ModuleType) -> None:
    text = script.table([*LINES, stopped(2, budget=60) | {"exchanges": 64}])
    assert "| 64 | 2 | - | - | - | - |" in text


@pytest.mark.parametrize("script", ["bundles_report"], indirect=True)
def test_plot_has_a_line_a_configuration(script: ModuleType) -> None:
    (axes,) = script.figure([*LINES, tstr(5, 0.3, generator_steps=4)]).axes
    labels = [line.get_label() for line in axes.lines]
    assert labels == ["S = 4, 2 steps", "S = 4, 4 steps", "Real-All", "untrained generator"]
    assert axes.lines[0].get_xydata().tolist() == [[5, pytest.approx(0.625)], [10, pytest.approx(0.9)]]


@pytest.mark.parametrize("script", ["common"], indirect=True)
def test_an_interrupted_line_is_cut_off(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert script.read_lines(path) == []
    script.append_line(path, {"a": 1})
    path.write_text(path.read_text() + '{"a": 2')
    assert script.read_lines(path) == [{"a": 1}]
    script.append_line(path, {"a": 3})
    assert script.read_lines(path) == [{"a": 1}, {"a": 3}]


@pytest.mark.parametrize("script", ["common"], indirect=True)
def test_number_of_clients_is_that_of_the_partition(script: ModuleType) -> None:
    assert script.natural_clients(resolve("partition=label partition.label_groups=[[0],[1],[2]]"), 7) == 3
    assert script.natural_clients(resolve("partition=iid"), 7) == 7


@pytest.mark.parametrize("script", ["speed"], indirect=True)
def test_the_first_round_is_warm_up(script: ModuleType) -> None:
    rounds = [
        Round(n, {"generator": s, "flower": s}, 100, {}, {}, 0, (), {}) for n, s in ((1, 50.0), (2, 1.0), (3, 4.0))
    ]
    assert script.images_per_second(rounds) == pytest.approx(20)


@pytest.mark.parametrize("script", ["speed"], indirect=True)
def test_ratio_is_against_the_faster_plain_loop(script: ModuleType) -> None:
    def pair(flower: float, *bare: float) -> dict[str, Any]:
        return {"flower": {"images_per_second": flower}, "bare": [{"images_per_second": each} for each in bare]}

    ratios = script.ratio_summary([pair(50, 100, 200), pair(90, 100), pair(60, 100, 80)])
    assert ratios == {"median": pytest.approx(0.6), "min": pytest.approx(0.25), "max": pytest.approx(0.9)}


@pytest.mark.parametrize("script", ["speed"], indirect=True)
def test_memory_growth_is_by_process(script: ModuleType) -> None:
    assert script.memory_growth({"server": 100.0, "a": 50.0}, {"server": 110.0, "a": 50.0}) == {"server": 1.1, "a": 1.0}


@pytest.mark.parametrize("script", ["deployed"], indirect=True)
def test_levers_are_held_against_the_plain_loop_of_their_own_turn(script: ModuleType) -> None:
    def turn(size: str, bare: float, **levers: float) -> dict[str, Any]:
        runs = {name: {"images_per_second": speed} for name, speed in levers.items()}
        return {"size": size, "bare": [{"images_per_second": bare}, {"images_per_second": 1.0}], "deployed": runs}

    lines = [turn("small", 100, naive=1, all=50), turn("small", 200, naive=4, all=80), turn("large", 10, all=9)]
    summary = script.summarize(lines)
    assert summary["small"]["naive"] == {"median": pytest.approx(0.015), "min": 0.01, "max": 0.02}
    assert summary["small"]["all"]["median"] == pytest.approx(0.45)
    assert summary["large"] == {"all": {"median": 0.9, "min": 0.9, "max": 0.9}}
    assert len(script.figure(summary).axes[0].patches) == 3


@pytest.mark.parametrize("script", ["scaling"], indirect=True)
def test_a_bundle_holds_images_label_maps_and_texture(script: ModuleType) -> None:
    # 8 exchanges of 8 images of 32 x 32 pixels; 1 channel, 2 classes and texture, 4 bytes each
    assert script.bundle_bytes(resolve(""), 2) == 64 * 1024 * 4 * 4


@pytest.mark.parametrize("script", ["wire_bytes"], indirect=True)
def test_bytes_are_those_of_all_clients_over_all_images(script: ModuleType) -> None:
    def done(sent: int, received: int) -> ClientRound:
        return ClientRound(0.0, 0.0, 0.0, 0.0, sent, received, 0, 1.0)

    rounds = (
        Round(1, {}, 8, {"a": done(100, 30), "b": done(60, 50)}, {}, 0, (), {}),
        Round(2, {}, 4, {"a": done(20, 16)}, {"b": "late"}, 0, (), {}),
    )
    assert script.bytes_an_image(RunMetrics((), rounds, (), (), (), (), ())) == (8, 15)


@pytest.mark.parametrize("script", ["wire_bytes"], indirect=True)
def test_weights_of_the_papers_networks(script: ModuleType) -> None:
    config = resolve("model=papers data.channels=3")
    # 11,378,179 and 2,767,809 parameters at 3 input channels each; one channel less of 7 x 7 and 4 x 4 filters here
    count = 11_378_179 - 64 * 49 + 2_767_809 - 64 * 16
    assert script.synchronisation_bytes(config, ImageShape(2, 3, 64, ())) == 8 * count


@pytest.mark.parametrize("script", ["bundles_report"], indirect=True)
def test_messages_needed_are_counted_seed_by_seed(script: ModuleType) -> None:
    single = {"exchanges": 1, "generator_steps": 1}
    lines = [tstr(10, 0.5, **single), tstr(20, 0.8, **single), tstr(40, 0.8, **single), tstr(2, 0.7), tstr(5, 0.78)]
    lines += [tstr(40, 0.9, seed=1, **single), tstr(5, 0.8, seed=1), tstr(5, 0.8, seed=2)]
    first, second = script.needed_messages(lines)
    assert "(0.776), seed 0: S = 1, 1 steps 20, S = 4, 2 steps 5." in first
    assert "(0.873), seed 1: S = 1, 1 steps 40." in second


@pytest.mark.parametrize("script", ["robust"], indirect=True)
def test_attacks_falsify_gradients(script: ModuleType) -> None:
    gradients = torch.tensor([[3.0, -4.0]])
    expected = {"none": [3, -4], "flip": [-3, 4], "zeros": [0, 0], "huge": [300, -400], "huge-flip": [-300, 400]}
    for attack, values in expected.items():
        torch.testing.assert_close(script.falsify(attack, gradients), torch.tensor([values], dtype=torch.float32))
    noise = script.falsify("noise", gradients)
    assert noise.norm() == pytest.approx(5)
    assert not torch.allclose(noise, gradients)


@pytest.mark.parametrize("script", ["robust"], indirect=True)
def test_replay_answers_with_the_first_message_again_and_again(script: ModuleType) -> None:
    class Counting:
        calls, optimizer = 0, None

        def feedback(self, batch: Any, paired: torch.Tensor | None) -> Feedback:
            self.calls += 1
            return Feedback(torch.zeros(1), torch.full((1, 1, 1, 1), float(self.calls)))

    bad = script.BadHalf(Counting(), "replay", 2)
    assert [float(bad.feedback(torch.zeros(1)).gradients) for _ in range(5)] == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("script", ["robust_report"], indirect=True)
def test_table_of_attacks_shows_the_weight_of_the_bad_client(script: ModuleType) -> None:
    def run(attack: str, seed: int, dice: float, *weights: float) -> dict[str, Any]:
        key = {"kind": "tstr", "data": "digits-iid", "attack": attack, "rule": "agreement", "seed": seed}
        return {**key, "dice": dice, "weights": weights}

    seconds = {"kind": "time", "data": "digits-iid", "seconds": {"samples": 0.5, "agreement": 0.6}}
    text = script.table([run("none", 0, 0.9, 0.3, 0.7), run("none", 1, 0.8, 0.3, 0.6), seconds])
    assert "| merge rule | none | server time |" in text
    assert "| agreement | 0.850 ± 0.071 (0.30, 0.60) | 1.20 |" in text


@pytest.mark.parametrize("script", ["algorithms_report"], indirect=True)
def test_table_of_algorithms_shows_classes_and_multiples_of_the_floor(script: ModuleType) -> None:
    def line(seed: int, classes: int, least: float, frechet: float) -> dict[str, Any]:
        shares = [least, 1 - least]
        found = {
            "choice": "UA-GAN: algorithm=uagan",
            "groups": "[[0],[1]]",
            "seed": seed,
            "clients": 2,
            "seconds": 10.0,
            "held": [0, 1],
        }
        return found | {
            "classes": classes, "shares": shares, "frechet": frechet, "frechet_floor": 2.0, "bytes_a_client": 3e6
        }  # fmt: skip

    text = script.table([line(0, 10, 0.1, 4.0), line(1, 9, 0.3, 8.0)])
    assert "| UA-GAN | 2 | 2 | 10, 9 | 0.200 ± 0.141 | 3.0 ± 1.4 | 3.0 | 10 |" in text
    pooled = script.table([line(0, 10, 0.1, 4.0) | {"groups": "pooled", "clients": 1}])
    assert "| UA-GAN (pooled data) | 1 | 1 | 10 | 0.100 | 2.0 | 3.0 | 10 |" in pooled
    # a class that no client has does not count
    assert "| UA-GAN | 2 | 1 | 10 | 0.900 | 2.0 | 3.0 | 10 |" in script.table([line(0, 10, 0.1, 4.0) | {"held": [1]}])


@pytest.mark.parametrize("script", ["algorithms_report"], indirect=True)
def test_loss_curves_are_means_over_the_seeds_and_over_parts_of_the_rounds(script: ModuleType) -> None:
    def line(seed: int, rise: float) -> dict[str, Any]:
        found = {"choice": "algorithm=uagan", "groups": "pooled", "seed": seed, "clients": 1}
        return found | {"generator_loss": [rise * (round_number // 2) for round_number in range(200)]}

    (curve,) = script.figure([line(0, 1.0), line(1, 3.0)]).axes[0].get_lines()
    assert curve.get_label() == "algorithm=uagan, pooled data"
    assert list(curve.get_ydata()) == [2.0 * part for part in range(100)]


@pytest.mark.parametrize("script", ["forgetting"], indirect=True)
def test_forgetting_is_tested_on_the_real_images_of_the_first_task(script: ModuleType) -> None:
    """Of 1,797 digits a fifth is held out; the first task has two clients with the labels 0 to 2."""
    real, test = script.first_task("algorithm=tdgan-small partition=label partition.label_groups=[[0,1],[2]]")
    source = open_source(resolve("").data)
    assert len(real) == sum(entry.label in (0, 1, 2) for entry in source.train)
    assert len(test) == sum(entry.label in (0, 1, 2) for entry in source.test)


@pytest.mark.parametrize("script", ["stations"], indirect=True)
@pytest.mark.parametrize("algorithm", ["dgan", "mdgan", "uagan"])
def test_a_batch_passes_few_modules_and_types(script: ModuleType, algorithm: str) -> None:
    """By a trace, from the generator to the client and back: half as many as when each paper lay in many files.

    Five more modules change nothing of it: two move it to the network's device and back, one keeps the pass that drew
    it, one keeps it in a file where there are many clients, and one measures the answer for the page.
    """
    found = script.follow(f"algorithm={algorithm}")
    beside = {"device", "placing", "gan.kept_graphs", "federation.spill", "federation.answer_figures"}
    assert len(set(found.modules) - beside) <= 20
    assert len(found.types) <= 5
    # it was followed: drawn, written, read, judged, and learned from
    passed = {"gan.generator", "wire.question_message", "gan.discriminator", "wire.answer_message", "gan.learning"}
    assert passed <= set(found.modules)
    assert {"Proposal", "Question", "Feedback", "Answer"} <= set(found.types)


@pytest.mark.parametrize("script", ["members"], indirect=True)
def test_members_are_asked_with_folds_and_what_is_given_wins(script: ModuleType, tmp_path: Path) -> None:
    given = "downstream.member_folds=2 'downstream.rows=[Real-k]'"
    config = resolve(script.overrides_of(tmp_path / "with space", 5, tmp_path / "run", given))
    assert (config.seed, config.data.root, config.partition.name) == (5, str(tmp_path / "with space"), "site")
    assert (config.downstream.member_folds, config.downstream.rows) == (2, ("Real-k",))
    assert resolve(script.overrides_of(tmp_path, 0, tmp_path, "")).downstream.member_folds == 3
