"""bfloat16 in the networks alone, and the server's step on all clients in one batch."""

import copy

import pytest
import torch
from torch import Tensor, nn

from flower_dgan.config import PrecisionName, ReplayName
from flower_dgan.data.channels import Channels
from flower_dgan.gan.exchange import Batch, Feedback, GeneratorInput, Proposal
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.replay import Replay
from flower_dgan.networks.build import ImageShape
from flower_dgan.networks.fusion import MixtureGenerator
from flower_dgan.networks.small import SmallGenerator
from flower_dgan.placing import compute, place, precision_of
from flower_dgan.resolve import resolve
from flower_dgan.wiring import discriminator_half, generator_half

CPU = torch.device("cpu")
SHAPE = ImageShape(2, 2, 16, ("a", "b", "c"))
SMALL = "data.channels=2 data.image_size=16 model.generator_width=4 model.discriminator_width=8 data=digits"


def inputs(site: int = 0, samples: int = 4) -> GeneratorInput:
    random = torch.Generator().manual_seed(site)
    label_maps = nn.functional.one_hot(torch.randint(2, (samples, 16, 16), generator=random), 2).permute(0, 3, 1, 2)
    noise = torch.randn(samples, 8, generator=random)
    texture = torch.randn(samples, 1, 16, 16, generator=random)
    return GeneratorInput(label_maps.float(), noise, texture, torch.full((samples,), site))


class Seen(nn.Module):
    """Keeps the type of what its layer made."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.types: list[torch.dtype] = []

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layer(x)
        self.types.append(made.dtype)
        return made


@pytest.mark.parametrize(("precision", "inside"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_network_computes_in_its_precision_and_returns_float32(precision: PrecisionName, inside: torch.dtype) -> None:
    network = place(Seen(), CPU, precision)
    twin = copy.deepcopy(network)  # as the moving average is one
    assert precision_of(network) == precision_of(twin) == precision
    for each in (network, twin):
        assert compute(each, torch.ones(1, 3)).dtype == torch.float32
        assert each.types == [inside]
        assert each.layer.weight.dtype == torch.float32
    assert precision_of(nn.Linear(1, 1)) == "float32"


def test_feedback_of_bfloat16_is_near_that_of_float32_and_no_state_is_rough() -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        half = discriminator_half(resolve(f"precision={precision} {SMALL}"), SHAPE, "a")
        real, synthetic = (
            Batch(torch.rand(4, 2, 16, 16, generator=torch.Generator().manual_seed(seed)), inputs(seed).label_maps)
            for seed in (0, 1)
        )
        loss = half.step(real, synthetic)
        answer = half.feedback(synthetic)
        state = [*half.network.parameters(), *(m for each in half.optimizer.state.values() for m in each.values())]
        assert {loss.dtype, answer.losses.dtype, answer.gradients.dtype, *(each.dtype for each in state)} == {
            torch.float32
        }
        found[precision] = answer.gradients.flatten()
    rough, fine = found["bfloat16"], found["float32"]
    assert 0.98 < float(nn.functional.cosine_similarity(rough, fine, dim=0)) < 0.999999


def test_the_generator_draws_in_the_precision_that_is_set() -> None:
    images = {}
    for precision in ("float32", "bfloat16"):
        half = generator_half(resolve(f"precision={precision} {SMALL}"), SHAPE)
        images[precision] = half.propose(inputs()).images
        assert images[precision].dtype == torch.float32
        assert {each.dtype for each in half.average.parameters()} == {torch.float32}
    apart = (images["bfloat16"] - images["float32"]).abs()
    assert 0 < float(apart.max()) < 0.2


def together(
    network: nn.Module, kind: ReplayName, channels: tuple[Channels, ...], at_once: bool, steps: int = 2
) -> GeneratorHalf:
    """Return a generator after two steps on the feedback of clients, each with its own weight and channels."""
    own = copy.deepcopy(network)
    half = GeneratorHalf(
        own,
        torch.optim.SGD(own.parameters(), 0.01),
        replay=Replay(kind, 0.1, 0.1 if kind != "gradient" else 0.0),
        average_decay=0.5,
        together=at_once,
    )
    proposals: list[Proposal] = []
    answers: list[Feedback] = []
    for site, held in enumerate(channels):
        proposals.append(half.propose(inputs(site)))
        random = torch.Generator().manual_seed(100 + site)
        gradients = torch.randn(4, 2 if held is None else len(held), 16, 16, generator=random)
        answers.append(Feedback(torch.zeros(4), 0.01 * gradients, held))
    half.apply(proposals, answers, {"a": 0.5, "b": 0.3, "c": 0.2}, steps)
    return half


@pytest.mark.parametrize("kind", ["gradient", "target", "moved"])
@pytest.mark.parametrize("fused", [False, True])
def test_one_batch_of_all_clients_is_their_sum(kind: ReplayName, fused: bool) -> None:
    torch.manual_seed(3)
    network = MixtureGenerator(2, 2, 4, 16, 8, 4) if fused else SmallGenerator(2, 2, 4, 16, 8, 3)
    channels: tuple[Channels, ...] = (None, (1,), None)
    apart, at_once = (together(network, kind, channels, each) for each in (False, True))
    before = network.state_dict()
    for name, value in apart.network.state_dict().items():
        difference = (at_once.network.state_dict()[name] - value).abs().max() / value.abs().max().clamp_min(1e-9)
        assert float(difference) <= 1e-5, name
    moved = [name for name, value in apart.network.state_dict().items() if not torch.equal(value, before[name])]
    assert moved
    if fused:  # nobody drew with the fourth
        assert not any(name.startswith("subs.3") for name in moved)
        assert all(each.grad is None for each in at_once.network.get_submodule("subs.3").parameters())


def test_not_more_samples_at_once_than_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    network = SmallGenerator(2, 2, 4, 16, 8, 3)
    forward = SmallGenerator.forward

    def counted(self: SmallGenerator, given: GeneratorInput) -> Tensor:
        seen.append(len(given))
        return forward(self, given)

    monkeypatch.setattr(SmallGenerator, "forward", counted)
    monkeypatch.setattr("flower_dgan.gan.generator._AT_A_TIME", 9)
    together(network, "gradient", (None, None, None), at_once=True, steps=1)
    assert seen == [4, 4, 4, 8, 4]  # drawn one by one; then two clients of four samples fit into nine
