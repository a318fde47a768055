"""Algorithms by name, what each says that it releases, and that nobody else knows their settings."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import flower_dgan
from flower_dgan.algorithms.asyndgan import AsynDgan
from flower_dgan.algorithms.find import algorithm_of, find, read_config, shipped
from flower_dgan.config import Config
from flower_dgan.errors import ConfigError, PolicyError
from flower_dgan.gan.exchange import Answer, Feedback
from flower_dgan.gan.learning import Step
from flower_dgan.gan.releases import Releases
from flower_dgan.resolve import resolve

WITH_NOISE = "privacy=moments data.condition=none downstream=none"
WITH_STEPS = "privacy=dp-sgd data.condition=none downstream=none"
FEEDBACK, SHARED = Releases(), Releases(label_maps_to_clients=True)


@pytest.mark.parametrize(
    ("overrides", "releases"),
    [
        ("dgan", FEEDBACK),
        ("dgan algorithm.l1_weight=1 allow_pixel_losses=true", Releases(real_pixels=True)),
        ("tdgan-small", FEEDBACK),
        ("tdgan-small algorithm.perceptual_weight=1 allow_pixel_losses=true", Releases(real_pixels=True)),
        ("dgan-sequential", FEEDBACK),
        ("mdgan", SHARED),
        ("mdgan algorithm.swap_interval=2", Releases(weights=True, label_maps_to_clients=True)),
        ("uagan", SHARED),
        ("gman", SHARED),
        ("dgan-average", SHARED),
        (f"dpmerf {WITH_NOISE}", Releases(feedback=False, noisy_sums=True)),
        (f"dpgan {WITH_STEPS}", Releases(private=True)),
        (
            f"dpmerf {WITH_NOISE} algorithm.honest_sites=2 algorithm.largest_share=1",
            Releases(feedback=False, noisy_sums=True, masked=True),
        ),
        ("dgan-selective", Releases(feedback=False, changes=True, label_maps_to_clients=True)),
    ],
)
def test_what_each_algorithm_releases(overrides: str, releases: Releases) -> None:
    assert algorithm_of(resolve(f"algorithm={overrides}")).releases == releases


def test_all_shipped_algorithms_are_found() -> None:
    names = {"asyndgan", "dgan-average", "dgan-selective", "dgan-sequential", "gman", "mdgan", "tdgan", "uagan"}
    names |= {"dpgan", "dpmerf"}
    assert set(shipped()) == names
    assert all(find(name).name == name for name in names)


def test_settings_are_read_without_torch() -> None:
    code = (
        "import sys; from flower_dgan.algorithms.find import shipped; print(len(shipped())); "
        "sys.exit('torch' in sys.modules or 'flwr' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(shipped())


SAID = Feedback(torch.zeros(1), torch.zeros(1, 1, 2, 2))
NOTHING = Feedback(torch.zeros(0), torch.zeros(0, 1, 2, 2))
PARTS = {
    "feedback": Answer(SAID, 0.0),
    "weights": Answer(NOTHING, 0.0, weights={"a": np.zeros(1, np.float32)}),
    "changes": Answer(NOTHING, 0.0, change=torch.zeros(1)),
}


@pytest.mark.parametrize("sent", PARTS)
@pytest.mark.parametrize("declared", PARTS)
def test_an_answer_has_no_part_that_is_not_declared(sent: str, declared: str) -> None:
    releases = Releases(**({"feedback": False} | {declared: True}))
    if sent == declared:
        PARTS[sent].check(releases)
    else:
        with pytest.raises(PolicyError, match="which its releases do not name: nothing was sent") as error:
            PARTS[sent].check(releases)
        assert error.value.rule == "undeclared"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("asyndgn", r"Unknown algorithm\.name 'asyndgn'\. Did you mean 'asyndgan'\?"),
        ("os:getcwd", r"algorithm\.name=os:getcwd is no class derived from flower_dgan\.algorithms\.base\.Algorithm"),
        ("pathlib:Path", r"is no class derived from"),
        ("os:sep", r"is of type str: a class or a function is wanted"),
        ("no_such_package:Ours", r"there is no module no_such_package here"),
    ],
)
def test_what_is_no_algorithm_is_named(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find(name)


def test_an_import_path_may_name_a_shipped_algorithm() -> None:
    assert find("flower_dgan.algorithms.asyndgan:AsynDgan") is AsynDgan


@pytest.mark.parametrize("name", [7, None, ["asyndgan"]])
def test_a_name_of_another_type_is_refused(name: object) -> None:
    with pytest.raises(ConfigError, match=r"algorithm\.name=.* is no name of an algorithm"):
        read_config(Config, {"algorithm": {"name": name}})


@pytest.mark.parametrize(
    ("word", "file"),
    [
        ("swap_interval", "mdgan"),
        ("shared_batches", "mdgan"),
        ("odds", "uagan"),
        ("reminding_", "tdgan"),
        ("sharpness", "gman"),
        ("upload_", "distributed_gan"),
    ],
)
def test_what_is_one_algorithms_own_is_in_its_file_alone(word: str, file: str) -> None:
    root = Path(flower_dgan.__file__).parent
    pattern = re.compile(rf"\b{word}" if word.endswith("_") else rf"\b{word}\b")
    found = {str(path.relative_to(root)) for path in root.rglob("*.py") if pattern.search(path.read_text())}
    chosen_by_an_attacker = {"audit/reading_images.py"} if word in ("swap_interval", "shared_batches") else set()
    assert found == {f"algorithms/{file}.py"} | chosen_by_an_attacker


def test_a_step_says_of_each_client_what_became_of_its_answer() -> None:
    step = Step({"a": 0.5, "b": 0.5}, {"a": torch.zeros(2)})
    step.check(["a"])
    with pytest.raises(ConfigError, match="without the losses of b: it has to name each client"):
        step.check(["a", "b"])
    with pytest.raises(ConfigError, match="without the weight of c"):
        step.check(["c"])
