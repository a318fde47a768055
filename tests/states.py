"""What a server has of a training, in few numbers."""

from collections.abc import Callable, Mapping

import torch

from flower_dgan.config import ReplayName
from flower_dgan.gan.bundle import BundleSettings, ClientLabels
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.replay import Replay
from flower_dgan.gan.server_state import ServerState
from flower_dgan.networks.small import SmallGenerator


def claims(images: Mapping[str, int]) -> dict[str, ClientLabels]:
    """Return clients with so many images; nothing looks at their label maps, of which there are millions."""
    return {name: ClientLabels(name, range(count), 2, 0) for name, count in images.items()}  # type: ignore[arg-type]


def small_generator(learning_rate: float = 1e-3, replay: ReplayName = "gradient") -> GeneratorHalf:
    """Return a generator of images of 8 x 8 pixels for one site."""
    network = SmallGenerator(2, 1, 8, 4, 2, 1)
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)
    return GeneratorHalf(network, optimizer, replay=Replay(replay, target_step=0.1), average_decay=0.0)


def state_of(
    clients: Mapping[str, ClientLabels],
    *,
    generator: GeneratorHalf | None = None,
    largest_share: float = 1.0,
    batch_size: int = 2,
    make_discriminator: Callable[[str], DiscriminatorHalf] | None = None,
) -> ServerState:
    """Return the state before the first of two rounds, of one batch and one generator step each."""

    def none(client: str) -> DiscriminatorHalf:
        raise AssertionError(f"a discriminator as that of {client}")

    bundles = BundleSettings(1, batch_size, 8, "none", 2, seed=1, largest_share=largest_share)
    return ServerState(generator or small_generator(), clients, bundles, 2, 1, 1, make_discriminator or none)
