"""DP-MERF: one noisy mean of public features of the real images, once; the generator matches it.

F. Harder, K. Adamczewski, M. Park: "DP-MERF: Differentially Private Mean Embeddings with Random Features for Practical
Privacy-Preserving Data Generation", AISTATS 2021.

With phi the random Fourier features of :mod:`flower_dgan.privacy.fourier_features`, |phi(x)| = 1, patient i adds

    v_i = mean over the patient's images (x, y) of  e_y (x) (sqrt(1 - c) phi(x), sqrt(c))

to the sum of a node: a row for each class, whose last entry counts (equations 6 and 7; c is ``count_share``). |v_i| is
1 at most, so that a node answers, once,

    s = sum_i v_i + N(0, sigma^2),    sigma from (epsilon, delta), see :mod:`flower_dgan.privacy.gaussian_mechanism`,

and the server, which adds up the answers, has of each class the count n_y = s_y,last / sqrt(c) and the mean embedding
mu_y = s_y / (sqrt(1 - c) n_y). The generator minimises the squared distance (equation 5)

    L = sum_y | mean of phi(G(y, z)) - mu_y |^2.

With ``honest_sites`` = h each node adds noise of sigma / sqrt(h) and sends it behind masks that cancel in the sum of
all nodes, see :mod:`flower_dgan.privacy.masks` and :mod:`flower_dgan.privacy.shared_noise`: the server sees that sum
alone, and nothing where one of them is missing. It carries sigma where h nodes are honest, more where more are.

Everything after s is post-processing and costs nothing, however many steps it takes. No other message is sent: a round
is ``exchange.generator_steps`` steps at the server alone, on ``exchange.batch_size`` images of each class.

Deviations: patients count alike, not images; counts come from the same release; the mean of |mean phi(G)|^2 is taken
over pairs of different images (the U-statistic of MMD, Gretton et al. 2012, lemma 6): with few images a class the other
one draws images towards their mean; classes whose count is lost in the noise are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from flower_dgan import gan
from flower_dgan.algorithms.base import Algorithm
from flower_dgan.config import AlgorithmSettings, TrainingConfig
from flower_dgan.config.data_settings import DRAWN_LABEL_MAPS
from flower_dgan.config.ranges import Because, ProperFraction
from flower_dgan.errors import ConfigError, ProtocolError
from flower_dgan.gan.releases import Releases
from flower_dgan.lazily import torch
from flower_dgan.privacy.fourier_features import MOST_ENTRIES, FourierFeatures

_MOST_NUMBERS = 2**22  # 32 MiB; a node computes with as many for each of its patients
MEANS = "mean embeddings"
"""What the server keeps of the answers, by this name among the parameters of its state."""


@dataclass(frozen=True, kw_only=True)
class DpMerfSettings(AlgorithmSettings):
    """What DP-MERF's runs choose.

    Attributes
    ----------
    epsilon, delta : float
        What the release of each node costs each of its patients (add or remove one).
    frequencies : int
        m: there are 2 m features. More tell finer differences, in as much more noise together.
    bandwidth : float
        Of the kernel, a pixel, in units of the range from black to white: below it, differences count for little.
    count_share : float
        c, in (0, 1): how much of what a patient adds is the count.
    honest_sites : int or None
        h, of how many sites the shares of noise make up that of ``epsilon``, in a sum that the server cannot take
        apart; None where each site has its own noise and answers for itself.
    """

    epsilon: Annotated[float, Interval(gt=0, le=100)]
    delta: Annotated[ProperFraction, Because("far below 1 / the number of patients, such as 1e-5")]
    frequencies: Annotated[int, Interval(ge=1, le=32_768)]
    bandwidth: Annotated[float, Interval(ge=0.01, le=100)]
    count_share: ProperFraction
    honest_sites: Annotated[int, Interval(ge=1, le=1024)] | None


class DpMerf(Algorithm[DpMerfSettings]):
    """Nodes answer once, with noise, and the generator learns from that alone."""

    name = "dpmerf"
    Settings = DpMerfSettings
    once = True

    @property
    def releases(self) -> Releases:
        """One noisy sum, and nothing else."""
        return Releases(feedback=False, noisy_sums=True, masked=self.settings.honest_sites is not None)

    def check(self, config: TrainingConfig) -> None:
        """Find contradictions."""
        super().check(config)
        data = config.data
        if data.label_maps != DRAWN_LABEL_MAPS:
            raise ConfigError(
                "algorithm=dpmerf lets no label map or class of an image leave, and no count: set "
                f"data.label_maps={DRAWN_LABEL_MAPS}, as privacy=moments does."
            )
        if data.condition == "label-map":
            raise ConfigError(
                "algorithm=dpmerf draws by the class of an image, or on nothing: set data.condition=class or none."
            )
        if data.condition == "class" and data.classes is None:
            raise ConfigError(
                "algorithm=dpmerf cannot find out how many classes there are, as that would tell of images: set "
                "data.classes, such as data.classes=10."
            )
        if config.model.site_condition or config.model.levels != "none":
            raise ConfigError(
                "algorithm=dpmerf adds up what the sites say and knows none of them: set model.site_condition=false "
                "model.levels=none."
            )
        if data.missing_channels:
            raise ConfigError("algorithm=dpmerf wants all channels of each image: leave data.missing_channels out.")
        if config.selection.validation_fraction:
            raise ConfigError(
                "algorithm=dpmerf holds no image out: which ones would depend on the others. Set selection=last."
            )
        if self.settings.replay != "gradient":
            raise ConfigError("algorithm=dpmerf has no feedback to replay: set algorithm.replay=gradient.")
        pixels = data.channels * data.image_size**2
        if pixels * self.settings.frequencies > MOST_ENTRIES:
            raise ConfigError(
                f"algorithm.frequencies={self.settings.frequencies} of images with {pixels:,} values want a matrix of "
                f"{pixels * self.settings.frequencies:,} entries, more than {MOST_ENTRIES:,}: set fewer, or a smaller "
                "data.image_size."
            )
        if (numbers := self.classes_of(config) * (2 * self.settings.frequencies + 1)) > _MOST_NUMBERS:
            raise ConfigError(
                f"algorithm.frequencies={self.settings.frequencies} of {self.classes_of(config)} classes are a sum of "
                f"{numbers:,} numbers, more than {_MOST_NUMBERS:,}: set fewer."
            )
        if self.settings.honest_sites is not None and self.settings.largest_share < 1:
            raise ConfigError(
                "algorithm.honest_sites adds up what no server reads of each site: none can be made to count for less. "
                "Set algorithm.largest_share=1, as privacy=moments-together does."
            )
        if config.exchange.batch_size < 2:
            raise ConfigError("algorithm=dpmerf compares images of a class: set exchange.batch_size=2 or more.")
        if trained := sorted({"Syn-All", "Local-k"} & {*config.downstream.rows}):
            raise ConfigError(
                f"downstream.rows has {', '.join(trained)}, which trains a discriminator on images at one place; "
                "algorithm=dpmerf has none: leave it out."
            )
        if config.downstream.member_folds:
            raise ConfigError("downstream.member_folds trains GANs at one place, and algorithm=dpmerf has none: set 0.")

    @property
    def release_cost(self) -> float:
        """Mu of the one release, 1 / sigma."""
        from flower_dgan.privacy.gaussian_mechanism import sigma_of

        return 1 / sigma_of(self.settings.epsilon, self.settings.delta)

    def release_cost_if(self, honest_sites: int) -> float:
        """Mu of the release where so many sites add their share of noise: less of more of them, down to 1 / sigma."""
        wanted = self.settings.honest_sites or 1
        return self.release_cost * math.sqrt(wanted / min(wanted, honest_sites))

    @property
    def share(self) -> float:
        """Noise that each site adds, in units of what a patient adds at most."""
        return 1 / self.release_cost_if(1)

    @property
    def cost(self) -> dict[str, float]:
        """epsilon, delta and sigma of the release, by name; of a sum of several sites also what is left of it alone.

        That is ``alone``, epsilon where all others tell the server what they sent, and ``honest_sites``.
        """
        from flower_dgan.privacy.gaussian_mechanism import epsilon_of

        found = {"epsilon": self.settings.epsilon, "delta": self.settings.delta, "sigma": 1 / self.release_cost}
        if self.settings.honest_sites is not None:
            alone = epsilon_of(self.release_cost_if(1), self.settings.delta)
            found |= {"alone": alone, "honest_sites": self.settings.honest_sites}
        return found

    @staticmethod
    def classes_of(config: TrainingConfig) -> int:
        """Return how many classes a training tells apart: one where images are drawn on nothing."""
        return (config.data.classes or 1) if config.data.condition == "class" else 1

    def features(self, channels: int, image_size: int) -> FourierFeatures:
        """Return phi."""
        return FourierFeatures(channels * image_size**2, self.settings.frequencies, self.settings.bandwidth)

    def ask(
        self, state: gan.ServerState, round_number: int, clients: Sequence[str]
    ) -> Iterator[tuple[str, gan.Proposal, gan.Question]]:
        """Ask nobody: everything was said before the first round."""
        return iter(())

    def answer(self, session: gan.Session, round_number: int, question: gan.Question) -> gan.Answer:
        """Answer no question about synthetic images; raises ProtocolError."""
        raise ProtocolError("a question about synthetic images in a training that has none")

    def learn(
        self,
        state: gan.ServerState,
        round_number: int,
        proposals: Mapping[str, gan.Proposal],
        answers: Mapping[str, gan.Answer],
        discounts: Mapping[str, float],
    ) -> gan.Step:
        """Step the generator towards the mean embeddings."""
        kept, settings = state.parameters[MEANS], state.bundles
        means = torch.from_numpy(kept["means"])
        seen = [index for index, there in enumerate(kept["seen"].tolist()) if there]
        phi = self.features(state.channels, settings.image_size)

        def distance(network: torch.nn.Module, step: int) -> torch.Tensor:
            inputs = gan.draw_classes(seen, len(means), settings, step)
            device = next(network.parameters()).device
            drawn = phi(network(inputs.to(device)))
            return gap(drawn.reshape(len(seen), -1, drawn.shape[1]), means[seen].to(device))

        rate = gan.scheduled_rate(round_number, state.rounds, self.settings.final_rate)
        state.generator.apply([], [], {}, state.generator_steps, rate, added=distance)
        return gan.Step()


def gap(drawn: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Return L but for |mu|^2, which no step changes.

    Parameters
    ----------
    drawn : Tensor, (classes, n, features)
        phi of n >= 2 synthetic images of each class, of length 1 each.
    means : Tensor, (classes, features)
        mu.
    """
    n = drawn.shape[1]
    ours = drawn.mean(1)
    pairs = (n * ours.square().sum(1) - 1) / (n - 1)
    return (pairs - 2 * (ours * means).sum(1)).sum()
