"""Which device a name means, who names it, and what is said where it is not there or too small."""

import ast
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import flower_dgan.device as device
from flower_dgan.config import TrainingConfig
from flower_dgan.device import (
    chosen_device,
    computing_on,
    describe,
    device_of,
    enough_memory_for,
    resolve_device,
    to_cpu,
    to_device,
    why_no_gpu,
)
from flower_dgan.errors import ConfigError, DeviceMemoryError
from flower_dgan.node.node import settings_at
from flower_dgan.node.simulation import simulating
from flower_dgan.placing import DropoutDrawnOnCpu, place
from flower_dgan.resolve import differences, resolve
from flower_dgan.wire.refusals import Refusal, refusal_of
from flower_dgan.wiring import computing, discriminator_half

CPU = torch.device("cpu")
PACKAGE = Path(device.__file__).parent


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be two CUDA devices, as far as counting goes."""
    monkeypatch.setitem(device._COUNTS, "cuda", lambda: 2)
    monkeypatch.setattr(device, "_current", lambda kind: 0)
    monkeypatch.delenv("FLOWER_DGAN_DEVICE")


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(device._COUNTS, "cuda", lambda: 0)
    monkeypatch.delenv("FLOWER_DGAN_DEVICE")


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("auto", None, "cuda:0"),
        ("auto", "cpu", "cpu"),
        ("auto", "cuda:1", "cuda:1"),
        ("cuda", "cpu", "cuda:0"),
        ("cuda:1", None, "cuda:1"),
        ("cpu", "cuda", "cpu"),
    ],
)
def test_a_name_is_a_device_and_auto_is_what_the_machine_says(
    name: str, said: str | None, expected: str, cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is not None:
        monkeypatch.setenv("FLOWER_DGAN_DEVICE", said)
    assert resolve_device(name) == torch.device(expected)


def test_auto_is_the_cpu_where_there_is_nothing_else(no_cuda: None) -> None:
    assert resolve_device("auto") == CPU


@pytest.mark.parametrize(
    ("name", "said", "words"),
    [
        ("gpu", None, "device=gpu is no device: write auto, cpu, cuda"),
        ("cpu:0x", None, "device=cpu:0x is no device"),
        ("mps:1", None, "device=mps:1 is no device"),
        ("cuda:2", None, "device=cuda:2 is not there for this process: there are 2, from cuda:0 on"),
        ("auto", "cuda:7", "FLOWER_DGAN_DEVICE=cuda:7 is not there"),
    ],
)
def test_a_device_that_is_none_is_refused_with_what_to_do(
    name: str, said: str | None, words: str, cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is not None:
        monkeypatch.setenv("FLOWER_DGAN_DEVICE", said)
    with pytest.raises(ConfigError, match=f"^{words}"):
        resolve_device(name)


def test_a_device_that_is_not_visible_is_refused_with_the_reason(
    no_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"it sees no cuda device\. Set device=cpu"):
        resolve_device("cuda")
    monkeypatch.setattr(device, "_nvidia_cards", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError, match=r"CUDA_VISIBLE_DEVICES hides it .* client-resources-num-gpus"):
        resolve_device("cuda")


def test_a_gpu_that_nobody_uses_has_a_reason(no_cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_no_gpu() is None  # there is none
    monkeypatch.setattr(device, "_nvidia_cards", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built without CUDA" in str(why_no_gpu())
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "its driver is missing, or older" in str(why_no_gpu())
    monkeypatch.setitem(device._COUNTS, "cuda", lambda: 1)
    assert why_no_gpu() is None  # it is seen


def test_what_computes_is_said_in_one_line() -> None:
    assert describe(CPU, "bfloat16") == f"cpu ({torch.get_num_threads()} threads), bfloat16"


def test_networks_are_where_their_parameters_are() -> None:
    assert device_of(nn.Linear(1, 1, device="meta")) == torch.device("meta")
    assert device_of(nn.BatchNorm1d(1, affine=False, device="meta")) == torch.device("meta")
    assert device_of(nn.ReLU()) == CPU


def test_what_is_there_is_not_copied() -> None:
    tensor = torch.zeros(2)
    assert to_device(tensor, CPU) is tensor
    assert to_cpu(tensor) is tensor
    assert to_device(tensor, torch.device("meta")).is_meta


def test_the_chosen_device_is_that_of_the_innermost_block() -> None:
    assert chosen_device() == CPU
    with computing_on(torch.device("meta")):
        with computing_on(CPU):
            assert chosen_device() == CPU
        assert chosen_device() == torch.device("meta")
    assert chosen_device() == CPU


def test_dropout_on_a_device_draws_what_it_draws_on_the_cpu() -> None:
    x = torch.rand(3, 40)
    torch.manual_seed(1)
    expected, after = nn.Dropout(0.3)(x), torch.get_rng_state()
    torch.manual_seed(1)
    torch.testing.assert_close(DropoutDrawnOnCpu(0.3)(x), expected, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), after)
    layer = DropoutDrawnOnCpu(0.3).eval()
    assert layer(x) is x


def test_only_on_a_device_is_dropout_replaced_wherever_it_is() -> None:
    network = nn.Sequential(nn.Dropout(0.3), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.4))).eval()
    assert place(network, CPU) is network
    assert type(network[0]) is nn.Dropout
    place(network, torch.device("meta"))
    inner = network[1]
    assert isinstance(inner, nn.Sequential)
    assert [type(network[0]), type(inner[1])] == [DropoutDrawnOnCpu] * 2
    assert [network[0].p, inner[1].p, inner[1].training] == [0.3, 0.4, False]


@pytest.mark.parametrize(("simulated", "expected"), [(True, "cuda:3"), (False, "cuda:1")])
def test_the_owner_of_a_deployed_node_says_where_it_computes(simulated: bool, expected: str) -> None:
    server = replace(resolve(""), device="cuda:3")
    block: AbstractContextManager[None] = simulating() if simulated else nullcontext()
    with block:
        assert settings_at(server, {"partition-id": 0, "device": "cuda:1"}).device == expected


def test_no_server_says_where_a_deployed_node_computes() -> None:
    config: TrainingConfig = replace(resolve(""), device="cuda:3")
    assert settings_at(config, {"data-path": "/data", "name": "a"}).device == "auto"
    with pytest.raises(ConfigError, match='write device="cuda:0", with the quotes'):
        settings_at(config, {"data-path": "/data", "name": "a", "device": 0})


def test_a_device_is_no_difference_between_two_attempts() -> None:
    from flower_dgan.federation.run_identity import settings_of_training

    one, two = (settings_of_training(resolve(f"device={name}")) for name in ("cpu", "cuda"))
    assert differences(one, two) == []


def test_a_lack_of_memory_says_what_to_lower() -> None:
    with pytest.raises(DeviceMemoryError) as error, computing(resolve("exchange.batch_size=7")):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. If reserved memory is ...")
    text = str(error.value)
    assert "batches of 7 images of 32 x 32 pixels" in text
    assert "Tried to allocate 2 GiB." in text
    assert "reserved" not in text
    assert "Lower exchange.batch_size" in text
    with (
        pytest.raises(DeviceMemoryError) as error,
        computing(resolve("exchange.exchanges=8 exchange.generator_steps=1")),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    assert str(error.value).endswith("model.discriminator_width. Or raise exchange.generator_steps.")
    with (
        pytest.raises(DeviceMemoryError) as error,
        computing(resolve("exchange.exchanges=8 exchange.generator_steps=8")),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    assert str(error.value).endswith("model.discriminator_width.")
    assert refusal_of(error.value) is Refusal.MEMORY
    for other in (ZeroDivisionError, RuntimeError("mat1 and mat2 shapes cannot be multiplied")):
        with pytest.raises((ZeroDivisionError, RuntimeError), match=r"^$|mat1"), enough_memory_for("a", "b"):
            raise other


def test_a_lack_of_the_cpus_memory_is_one_too() -> None:
    with (
        pytest.raises(DeviceMemoryError, match=r"not enough memory for a well .*Lower b"),
        enough_memory_for("a well", "b"),
    ):
        torch.empty(2**62, dtype=torch.uint8)


def test_a_network_that_does_not_fit_is_said_when_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> nn.Module:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("flower_dgan.wiring.place", full)
    from flower_dgan.networks.build import ImageShape

    with pytest.raises(DeviceMemoryError, match="networks of width"):
        discriminator_half(resolve(""), ImageShape(2, 1, 32, ()), "a")


def test_no_process_that_forks_asks_for_a_device() -> None:
    """Asking CUDA makes a context that a fork breaks; the child of the executor asks, and not the executor."""
    for file in (PACKAGE / "flower").glob("*.py"):
        names = {
            node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        }
        assert names.isdisjoint({"cuda", "resolve_device", "computing", "describe"}), file.name
