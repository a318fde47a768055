"""Networks that torch.compile has compiled: the same numbers but for rounding, the same names, second derivatives."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from flower_dgan.errors import ConfigError
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch
from flower_dgan.networks.build import ImageShape
from flower_dgan.placing import as_written, compile_in_place
from flower_dgan.resolve import resolve
from flower_dgan.wiring import discriminator_half, generator_half

SHAPE = ImageShape(2, 1, 16, ("a",))
SMALL = "data=digits data.image_size=16 model.generator_width=4 model.discriminator_width=4"


def batch(seed: int) -> Batch:
    random = torch.Generator().manual_seed(seed)
    label_maps = nn.functional.one_hot(torch.randint(2, (2, 16, 16), generator=random), 2).permute(0, 3, 1, 2)
    return Batch(torch.rand(2, 1, 16, 16, generator=random) * 2 - 1, label_maps.float())


def half(penalty: float) -> DiscriminatorHalf:
    return discriminator_half(resolve(f"{SMALL} algorithm.gradient_penalty={penalty}"), SHAPE, "a")


def eager_backend(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Let torch find the graphs and their gradients, and compute them as they are: what fails then fails on a GPU."""
    compiled: list[nn.Module] = []

    def compile_it(network: nn.Module) -> None:
        compiled.append(network)
        network._compiled_call_impl = torch.compile(network._call_impl, backend="aot_eager")  # type: ignore[assignment]

    monkeypatch.setattr(nn.Module, "compile", compile_it)
    return compiled


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_compiled_discriminator_steps_and_answers_as_one_that_is_not(
    penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = eager_backend(monkeypatch)
    plain, quick = half(penalty), half(penalty)
    compile_in_place(quick.network)
    assert quick.network in compiled
    assert list(quick.network.state_dict()) == list(plain.network.state_dict())
    for step in range(2):
        assert_close(quick.step(batch(step), batch(step + 9)), plain.step(batch(step), batch(step + 9)))
    assert_close(quick.flat_weights(), plain.flat_weights(), rtol=1e-5, atol=1e-6)
    ours, theirs = quick.feedback(batch(5)), plain.feedback(batch(5))
    assert_close(ours.gradients, theirs.gradients, rtol=1e-4, atol=1e-7)


def test_a_network_is_compiled_where_the_settings_say_so_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = eager_backend(monkeypatch)
    generator_half(resolve(SMALL), SHAPE)
    assert not compiled
    made = generator_half(resolve(f"{SMALL} compile=true"), SHAPE)
    assert compiled[-1] is made.network
    assert made.average is not made.network
    assert copy.deepcopy(made.network)._compiled_call_impl is None


def test_what_was_never_compiled_does_not_import_the_compiler() -> None:
    assert type(as_written(nn.Linear(1, 1))).__name__ == "nullcontext"


def test_a_machine_that_cannot_compile_says_what_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(network: nn.Module) -> None:
        def call(*inputs: object) -> None:
            raise RuntimeError("no compiler\nfound")

        network._compiled_call_impl = call  # type: ignore[assignment]

    monkeypatch.setattr(nn.Module, "compile", fails)
    with pytest.raises(ConfigError, match=r"compile=true.*cpu \(no compiler found\).*Or set compile=false"):
        compile_in_place(nn.Linear(1, 1))


@pytest.mark.slow
def test_the_compiler_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain, quick = half(1.0), half(1.0)
    compile_in_place(quick.network)
    assert_close(quick.step(batch(1), batch(2)), plain.step(batch(1), batch(2)))
    assert_close(quick.feedback(batch(5)).gradients, plain.feedback(batch(5)).gradients, rtol=1e-4, atol=1e-7)
