"""What the server has of a training: the generator, who takes part, and what an algorithm keeps between rounds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from flower_dgan.gan.bundle import BundleSettings, ClientLabels
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Parameters
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.guard import GRADIENTS, SCORES, WEIGHTS, Guard


@dataclass(frozen=True)
class PreviousTask:
    """The end of an earlier training whose generator this one begins with.

    Attributes
    ----------
    generator : nn.Module
        As that training left it.
    labels : tuple of ClientLabels
        The clients of all earlier ones.
    """

    generator: nn.Module
    labels: tuple[ClientLabels, ...]


@dataclass
class ServerState:
    """The server's part of a training; algorithms change it in place.

    Attributes
    ----------
    generator : GeneratorHalf
        The generator with its optimizer.
    clients : mapping of str to ClientLabels
        All clients by name, in the order in which their feedback is added up.
    bundles : BundleSettings
        How bundles are drawn.
    rounds, generator_steps : int
        Rounds of the training, and generator steps of each.
    channels : int
        Channels of the synthetic images, some of which a client may lack.
    make_discriminator : callable
        Makes a discriminator as that of a client of the given name is at the start.
    previous : PreviousTask or None
        What the training begins with, where the algorithm's settings name an earlier run.
    guards : dict of str to Guard
        The clients' past, by what is guarded.
    trust : dict of str to float
        What a merge rule remembers of each client.
    parameters : dict of str to Parameters
        Weights that the algorithm keeps between rounds, by a name that is its own to choose.
    """

    generator: GeneratorHalf
    clients: Mapping[str, ClientLabels]
    bundles: BundleSettings
    rounds: int
    generator_steps: int
    channels: int
    make_discriminator: Callable[[str], DiscriminatorHalf]
    previous: PreviousTask | None = None
    guards: dict[str, Guard] = field(
        default_factory=lambda: {
            "gradients": Guard(GRADIENTS),
            "scores": Guard(SCORES),
            "merged": Guard(GRADIENTS),
            "weights": Guard(WEIGHTS),
        }
    )
    trust: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, Parameters] = field(default_factory=dict)

    def snapshot(self) -> dict[str, Tensor]:
        """Return everything that changes during a training, by name; not copied."""
        pasts = {
            f"past-{kind}:{name}": past
            for kind, guard in self.guards.items()
            for name, past in guard.snapshot().items()
        }
        kept = {
            f"kept:{name}:{key}": torch.from_numpy(value)
            for name, weights in self.parameters.items()
            for key, value in weights.items()
        }
        trust = {f"trust:{name}": torch.tensor(value).double() for name, value in self.trust.items()}
        return self.generator.snapshot() | pasts | trust | kept

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`snapshot` returned.

        Raises
        ------
        KeyError, RuntimeError
            If the tensors are not those of such a training.
        """
        self.generator.restore(dict(tensors))
        for kind, guard in self.guards.items():
            mark = f"past-{kind}:"
            guard.restore({key.removeprefix(mark): past for key, past in tensors.items() if key.startswith(mark)})
        self.trust = {
            key.removeprefix("trust:"): float(value) for key, value in tensors.items() if key.startswith("trust:")
        }
        kept: dict[str, dict[str, object]] = {}
        for key, value in tensors.items():
            if key.startswith("kept:"):
                name, _, parameter = key.removeprefix("kept:").rpartition(":")
                kept.setdefault(name, {})[parameter] = value.numpy()
        self.parameters = dict(kept)  # type: ignore[arg-type]
