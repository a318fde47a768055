"""Clients that lack some channels: what is hidden, filled and refused, and what their feedback moves."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flower_dgan.config import ReplayName
from flower_dgan.data import Pairs
from flower_dgan.data.channels import fill_channels, hide_channels, own_channels, simulated_channels
from flower_dgan.errors import ConfigError, ProtocolError
from flower_dgan.gan.exchange import Feedback, GeneratorInput
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.replay import Replay
from flower_dgan.networks.whole import BlackElsewhere
from flower_dgan.node.node import open_node
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import NodeDescription

THREE = "data=folder data.channels=3"


class Levels(nn.Module):
    """Draws images of one level a channel, its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([0.1, 0.2, 0.3]))

    def forward(self, inputs: GeneratorInput) -> Tensor:
        return self.levels[None, :, None, None].expand(len(inputs), -1, 2, 2)


def half(replay: ReplayName) -> GeneratorHalf:
    network = Levels()
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    return GeneratorHalf(network, optimizer, replay=Replay(replay, 0.1), average_decay=0.0)


def inputs(samples: int) -> GeneratorInput:
    return GeneratorInput(
        torch.ones(samples, 1, 2, 2),
        torch.zeros(samples, 0),
        torch.zeros(samples, 1, 2, 2),
        torch.zeros(samples).long(),
    )


def test_feedback_moves_the_channels_that_it_is_about() -> None:
    server = half("gradient")
    proposal = server.propose(inputs(2))
    some = Feedback(torch.zeros(2), torch.full((2, 2, 2, 2), 0.25), channels=(0, 2))
    server.apply([proposal], [some], {"a": 1.0}, 1)
    # 4 pixels of 0.25 are a gradient of 1, and the rate is 0.5
    torch.testing.assert_close(server.network.levels.detach(), torch.tensor([-0.4, 0.2, -0.2]))
    assert server.network.levels.grad[1] == 0
    whole = Feedback(torch.zeros(2), torch.full((2, 3, 2, 2), 0.25))
    server.apply([proposal, proposal], [some, whole], {"a": 0.5, "b": 0.5}, 1)
    torch.testing.assert_close(server.network.levels.detach(), torch.tensor([-0.9, -0.05, -0.7]))


def test_a_target_does_not_hold_the_other_channels_back() -> None:
    """Two steps: in the second one a pull towards the old image would show in channel 1."""
    server = half("target")
    proposal = server.propose(inputs(2))
    some = Feedback(torch.zeros(2), torch.full((2, 1, 2, 2), -3.0), channels=(2,))
    other = Feedback(torch.zeros(2), torch.full((2, 1, 2, 2), 7.0), channels=(1,))
    server.apply([proposal, proposal], [some, other], {"a": 0.5, "b": 0.5}, 2)
    # each client pulls its own channel alone, to a target 0.1 away, which rate 0.5 x weight 0.5 x 4 pixels = 1 reaches
    # in the first step and keeps in the second
    torch.testing.assert_close(server.network.levels.detach(), torch.tensor([0.1, 0.1, 0.4]))
    assert server.network.levels[0] == torch.tensor(0.1)


def test_hidden_and_filled() -> None:
    image = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3)
    pairs = Pairs((image,), (np.zeros((2, 2), np.uint8),), 2)
    hidden = hide_channels(pairs, (0, 2))
    assert hidden.images[0].tolist() == [[[0, 2], [3, 5]], [[6, 8], [9, 11]]]
    assert fill_channels(hidden, (0, 2), 3).images[0].tolist() == [[[0, 0, 2], [3, 0, 5]], [[6, 0, 8], [9, 0, 11]]]
    assert hide_channels(pairs, None) is pairs
    assert fill_channels(pairs, None, 3) is pairs


def test_black_elsewhere() -> None:
    class Sums(nn.Module):
        def forward(self, label_maps: Tensor, images: Tensor) -> Tensor:
            return images.sum((2, 3))

    images = torch.full((1, 2, 2, 2), 0.5, requires_grad=True)
    logits = BlackElsewhere(Sums(), (0, 2), 3)(torch.zeros(1, 1, 2, 2), images)
    assert logits.tolist() == [[2.0, -4.0, 2.0]]
    logits.sum().backward()
    torch.testing.assert_close(images.grad, torch.ones(1, 2, 2, 2))


def test_who_holds_what() -> None:
    data = resolve(
        f"{THREE} data.missing_channels=[[breast,[1]],[liver,[2,0]]] model.site_condition=false model.levels=none"
    ).data
    assert [simulated_channels(data, name) for name in ("breast", "liver", "brain")] == [(0, 2), (1,), None]
    assert [own_channels(data, given) for given in ("0, 2", "1", "0,1,2")] == [(0, 2), (1,), None]
    for wrong in ("", "0,3", "2,0", "1,1", "-1", "red"):
        with pytest.raises(ConfigError, match=rf'channels="{wrong}": name those of 0 .. 2 that its files hold'):
            own_channels(data, wrong)


@pytest.mark.parametrize("channels", [[], [1, 0], [0, 0], [-1], [255], ["0"], [1.0, 2.0]])
def test_nodes_with_impossible_channels(channels: list[float]) -> None:
    content = NodeDescription("breast", 2, (0, 1), 2, True, "0" * 32, "f" * 64).to_records()
    content.config_records["node"]["channels"] = channels
    with pytest.raises(ProtocolError, match="a node with the channels"):
        NodeDescription.from_records(content)


def test_a_simulated_node_does_not_say_its_channels() -> None:
    with pytest.raises(ConfigError, match=r"set data\.missing_channels for the run"):
        open_node(resolve(""), {"partition-id": 0, "num-partitions": 2, "channels": "0"})


LACKING = "data.missing_channels=[[breast,[1]]]"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("data.missing_channels=[[breast,[1]],[breast,[2]]]", "names a client twice among breast, breast"),
        (
            "data.missing_channels=[[breast,[0,1,2]]]",
            "breast lacks .* at least one of the 3 channels once, and not all",
        ),
        ("data.missing_channels=[[breast,[]]]", "breast lacks .*; name at least one"),
        ("data.missing_channels=[[breast,[1,1]]]", "breast lacks .* once"),
        ("data.missing_channels=[[breast,[3]]]", r"breast lacks \[3\]; the channels are 0 .. 2"),
        ("data.missing_channels=[[breast,1]]", "no list of the right length"),
        ("data.missing_channels=[[breast]]", "no list of the right length"),
        ("data.missing_channels=[[breast,[red]]]", "of type str, not int"),
        (
            f"{LACKING} algorithm=mdgan algorithm.swap_interval=1",
            "set an algorithm whose discriminators stay at their nodes, as they differ",
        ),
        (f"{LACKING} algorithm=dgan-selective", "set an algorithm whose discriminators stay at their nodes"),
        (f"{LACKING} algorithm.perceptual_weight=1 allow_pixel_losses=true", "set algorithm.perceptual_weight=0"),
        (f"{LACKING} downstream.rows=[FedGAN]", "set downstream.rows without FedGAN"),
        (f"{LACKING} downstream.rows=[Real-k+FedGAN]", "set downstream.rows without FedGAN"),
        (f"{LACKING} downstream.dist_fid=100 downstream.rows=[DGAN]", "set downstream.dist_fid=0"),
        (f"{LACKING} data.augmentation=colour", "set data.augmentation=rotations"),
        (f"{LACKING} algorithm=fusion", "no fusion"),
        (LACKING, "set model.site_condition=false model.levels=none"),
    ],
)
def test_settings_that_contradict(overrides: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve(f"{THREE} {overrides}")
