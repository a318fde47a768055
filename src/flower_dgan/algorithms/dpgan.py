"""DP-GAN: AsynDGAN whose discriminators learn by clipped and noisy steps, so that all that follows is private.

L. Xie, K. Lin, S. Wang, F. Wang, J. Zhou: "Differentially Private Generative Adversarial Network", arXiv:1802.06739.
A. Bie, G. Kamath, G. Zhang: "Private GANs, Revisited", TMLR 2023: many steps of D for each of G.
M. Abadi et al.: "Deep Learning with Differential Privacy", CCS 2016: the step, algorithm 1.

To a step of D_k each patient of client k comes with probability q (``share``), by a coin of the client's own, with one
of the patient's images x. The client steps along

    g = C / (q n~)  ( sum over those who came of clip(grad l(D(x), real) / C)  +  N(0, sigma^2)
                      + q n~ / |F|  sum over the synthetic batch F of clip(grad l(D(x~), fake) / C) ),

where clip shortens a vector to length 1 at most, see :mod:`flower_dgan.privacy.clipped_sum`. Only the first sum tells
of patients, and each adds 1 to it at most; synthetic images are the server's, and are clipped so that both sides weigh
alike. n~ is the number of patients with noise of a standard deviation of 20, once. q is a setting and n stays with
the client, so that neither the noise nor anything else tells n. Of q, the planned steps T and (epsilon, delta)
follows

    sigma:  n~ and T steps together cost epsilon at delta, see flower_dgan.privacy.accountant.

What leaves is the loss and the gradient at synthetic images, as D_k finds them after its steps on them: this is
post-processing and costs nothing, and so does looking how many of them D_k knows, by which a client may leave the rest
of its steps out (Bie et al., section 4.2). The server adds up the gradients as
:mod:`~flower_dgan.algorithms.asyndgan` does.

Deviations: the loss is hinge and not Wasserstein's, whose weights are clipped, too; the noise is added once a step and
not once a sample; neighbours differ by a patient, of whom one image comes at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from flower_dgan import gan
from flower_dgan.algorithms.base import Algorithm
from flower_dgan.config import AlgorithmSettings, MergeSettings, TrainingConfig
from flower_dgan.config.data_settings import DRAWN_LABEL_MAPS
from flower_dgan.config.import_path import is_import_path
from flower_dgan.config.ranges import Because, Positive, PositiveFraction, ProperFraction
from flower_dgan.errors import ConfigError, ProtocolError
from flower_dgan.gan.releases import Releases
from flower_dgan.lazily import torch
from flower_dgan.privacy.accountant import Release, noise_of_steps
from flower_dgan.privacy.clipped_sum import clipped_sum
from flower_dgan.privacy.noise import GRID, noisy

COUNT_NOISE = 20.0
"""Standard deviation of the noise on the number of patients, by which real and synthetic sides are weighed."""

_AT_ONE_PLACE = {"Syn-All", "Local-k"}
_WITH_WEIGHTS = {"FedGAN", "FedGAN-equal-bytes", "Real-k+FedGAN"}


@dataclass(frozen=True, kw_only=True)
class DpGanSettings(AlgorithmSettings, MergeSettings):
    """What DP-GAN's runs choose.

    Attributes
    ----------
    epsilon, delta : float
        What the whole training costs each patient of each client (add or remove one).
    share : float
        q, with which probability a patient comes to a step, in (0, 1].
    clip : float
        C, the length that the gradient of a sample is shortened to.
    enough : float
        In (0, 1]: a client takes no more steps on a batch once its discriminator scores a larger share of it below 0,
        and does not pay for those that it leaves out. With 1 it takes all.
    """

    epsilon: Annotated[float, Interval(gt=0, le=100)]
    delta: Annotated[ProperFraction, Because("far below 1 / the number of patients, such as 1e-5")]
    share: Annotated[PositiveFraction, Because("the probability with which a patient comes to a step")]
    clip: Positive
    enough: Annotated[PositiveFraction, Because("1 is all steps of each batch")]


class DpGan(Algorithm[DpGanSettings]):
    """Each client's discriminator learns with differential privacy by patient, and judges what the server draws."""

    name = "dpgan"
    Settings: ClassVar[type[AlgorithmSettings]] = DpGanSettings

    @property
    def releases(self) -> Releases:
        """Losses and gradients of a private discriminator."""
        return Releases(private=True)

    @property
    def release_cost(self) -> float:
        """Mu of n~."""
        return 1 / COUNT_NOISE

    def drawn_releases(self, config: TrainingConfig) -> tuple[Release, ...]:
        """Return the steps of a whole training with their noise."""
        return (self.steps_of(config, config.exchange.rounds * self.steps_a_round(config)),)

    def steps_a_round(self, config: TrainingConfig) -> int:
        """Return how many steps a client takes for a bundle."""
        return config.exchange.exchanges * self.settings.discriminator_steps

    def steps_of(self, config: TrainingConfig, steps: int) -> Release:
        """Return so many steps, with the noise of this training; raises ConfigError if none does for its epsilon."""
        chosen = self.settings
        planned = config.exchange.rounds * self.steps_a_round(config)
        sigma = noise_of_steps(chosen.epsilon, chosen.delta, chosen.share, planned, self.release_cost)
        return Release(sigma, chosen.share, steps)

    def check(self, config: TrainingConfig) -> None:
        """Find contradictions, and what no noise here covers."""
        super().check(config)
        for problem, instead in (*self._leaks(config), *_not_private(config)):
            if problem:
                raise ConfigError(f"algorithm={self.name} {instead}")

    def _leaks(self, config: TrainingConfig) -> Iterable[tuple[bool, str]]:
        """Yield what would let something leave beside the feedback, whether it is so, and what to set instead."""
        data, downstream = config.data, config.downstream
        yield (
            data.label_maps != DRAWN_LABEL_MAPS,
            "lets no label map or class of an image leave, and no count: set data.label_maps="
            f"{DRAWN_LABEL_MAPS}, as privacy=dp-sgd does.",
        )
        yield (
            data.condition == "label-map",
            "draws by class, all alike, or on nothing: set data.condition=class or none.",
        )
        yield (
            data.condition == "class" and data.classes is None,
            "cannot find out how many classes there are, as that would tell of images: set data.classes, such as "
            "data.classes=10.",
        )
        yield (
            self.settings.merge == "samples",
            "does not know how many images a client has, so it cannot weigh by them: set algorithm.merge=equal.",
        )
        yield (
            config.model.levels != "none",
            "lets no mean or deviation of images leave, which have no noise: set model.levels=none.",
        )
        yield bool(data.missing_channels), "wants all channels of each image: leave data.missing_channels out."
        yield (
            bool(config.selection.validation_fraction or config.selection.checks),
            "lets no score on real images leave, which has no noise, and holds none out: set selection=last.",
        )
        yield (
            downstream.dist_fid > 0,
            "lets no moments of real images leave without noise: set downstream.dist_fid=0.",
        )
        if rows := sorted(_WITH_WEIGHTS & {*downstream.rows}):
            yield True, f"lets no weights leave, as {', '.join(rows)} of downstream.rows does: leave it out."
        if rows := sorted(_AT_ONE_PLACE & {*downstream.rows}):
            yield (
                True,
                f"trains no discriminator at one place, as {', '.join(rows)} of downstream.rows does: leave it out.",
            )
        yield downstream.member_folds > 0, "trains none at one place, as downstream.member_folds does: set 0."

    def ask(
        self, state: gan.ServerState, round_number: int, clients: Sequence[str]
    ) -> Iterable[tuple[str, gan.Proposal, gan.Question]]:
        """Draw for each client, of each class alike."""

        def ask_one(name: str) -> tuple[str, gan.Proposal, gan.Question]:
            return name, *gan.propose_own(state, name, round_number)

        return state.generator.for_each(ask_one, clients)

    def answer(self, session: gan.Session, round_number: int, question: gan.Question) -> gan.Answer:
        """Update D_k by noisy steps, and return the loss for G and its gradient; the loss of D is on x~ alone."""
        synthetic = session.synthetic(question)
        feedback, losses = [], []
        for part in session.parts(len(synthetic)):
            batch = synthetic[part]
            for _ in range(self.settings.discriminator_steps):
                if self._knows(session, batch):
                    break
                self._step(session, batch)
            with torch.no_grad():
                losses.append(session.half.loss.fake(session.half.network(batch.label_maps, batch.images)).mean())
            feedback.append(session.half.feedback(batch))
        return gan.Answer(gan.concatenate(feedback), gan.mean_of(losses))

    def _knows(self, session: gan.Session, synthetic: gan.Batch) -> bool:
        """Return whether D takes more of the batch for synthetic than is wanted of it."""
        if self.settings.enough == 1:
            return False
        with torch.no_grad():
            scores = session.half.network(synthetic.label_maps, synthetic.images).flatten(1).mean(1)
        return float((scores < 0).float().mean()) > self.settings.enough

    def _step(self, session: gan.Session, synthetic: gan.Batch) -> None:
        """Step D along g."""
        half, patients, chosen = session.half, session.patients, self.settings
        if patients is None:
            raise ProtocolError("a client that does not know its patients")
        if session.noise is None:
            raise ProtocolError("a client without noise")
        real = session.draw_patients(chosen.share)
        of_patients = clipped_sum(half.network, half.loss.real, (real.label_maps, real.images), chosen.clip)
        of_synthetic = clipped_sum(half.network, half.loss.fake, (synthetic.label_maps, synthetic.images), chosen.clip)
        drawn = noisy(of_patients.cpu().numpy().astype(np.int64), session.noise, patients.random_bytes)
        expected = chosen.share * patients.count
        private = torch.from_numpy(drawn).to(of_synthetic) / expected + of_synthetic / len(synthetic)
        half.step_along(private * (chosen.clip / GRID))

    def learn(
        self,
        state: gan.ServerState,
        round_number: int,
        proposals: Mapping[str, gan.Proposal],
        answers: Mapping[str, gan.Answer],
        discounts: Mapping[str, float],
    ) -> gan.Step:
        """Step G along the mean of dL_k / dtheta."""
        return gan.sum_gradients(
            state,
            round_number,
            proposals,
            answers,
            discounts,
            merge=self.settings.merge,
            final_rate=self.settings.final_rate,
        )


def _not_private(config: TrainingConfig) -> Iterable[tuple[bool, str]]:
    """Yield what would break the bound on what a patient adds to a step, whether it is so, and what to set instead."""
    algorithm, network = config.algorithm, config.model.discriminator
    yield (
        algorithm.gradient_penalty > 0,
        "has no gradient penalty (R1): its gradient is not one of a single sample's loss. Set "
        "algorithm.gradient_penalty=0.",
    )
    yield (
        algorithm.replay != "gradient" or algorithm.passes > 1,
        "sends gradients as they are: set algorithm.replay=gradient algorithm.passes=1.",
    )
    yield (
        algorithm.discriminator_weight != 1,
        "clips gradients, so a weight of the discriminator's loss has no meaning: set algorithm.discriminator_weight=1 "
        "and choose algorithm.clip.",
    )
    yield (
        is_import_path(network),
        f"wants a discriminator that is known to judge each image by itself, and model.discriminator={network} may "
        "have batch normalisation, which mixes patients, or spectral normalisation, whose state has no noise: set "
        "model.discriminator=mlp-by-class, mlp, small, dcgan or patchgan.",
    )
    yield config.precision != "float32", "clips in float32: set precision=float32."
