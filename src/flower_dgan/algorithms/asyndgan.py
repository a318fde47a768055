"""AsynDGAN: one generator learns from the discriminators of many clients.

Q. Chang, H. Qu, Y. Zhang, M. Sabuncu, C. Chen, T. Zhang, D. Metaxas: "Synthetic Learning: Learn From Distributed
Asynchronized Discriminator GAN Without Sharing Medical Image Data", CVPR 2020.

The objective (section 3.2, equation 1) is

    min_G max_D1..DK  sum_k pi_k { E_x,y~p_k [ log D_k(x | y) ] + E_y~p_k [ log(1 - D_k(G(y) | y)) ] }

with pi_k the share of client k in all data. One exchange of algorithm 1, for every client k in parallel: the server
draws label maps y of client k and sends x~ = G(y) (:meth:`AsynDgan.ask`); the client updates D_k on real pairs and on
(y, x~), then returns its loss for G and the gradient of that loss with respect to x~ (:meth:`AsynDgan.answer`); the
server propagates the weighted gradients through G and updates it (:meth:`AsynDgan.learn`).

With one exchange a round this is the paper's algorithm. Deviations: the generator takes noise and, optionally, the
site; its loss is the non-saturating one; the real pairs of D_k's update are drawn by the client itself, and not those
of the label maps y. With ``algorithm.replay=moved`` a client moves the images along these gradients many times while
D_k learns, and returns how far they came (:func:`flower_dgan.gan.answering.move_and_judge`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from flower_dgan import gan
from flower_dgan.algorithms.base import Algorithm
from flower_dgan.config import AlgorithmSettings, MergeSettings, PixelSettings, TrainingConfig, require_pictures
from flower_dgan.gan.releases import Releases

if TYPE_CHECKING:
    from flower_dgan.gan.generator import AddedLoss


@dataclass(frozen=True, kw_only=True)
class AsynDganSettings(AlgorithmSettings, MergeSettings, PixelSettings):
    """What AsynDGAN's runs choose: how gradients are added up, and the released code's pixel losses."""


class AsynDgan(Algorithm[AsynDganSettings]):
    """Each client judges images that were made from its own label maps, and the gradients are added up."""

    name = "asyndgan"
    Settings: ClassVar[type[AlgorithmSettings]] = AsynDganSettings
    moves: ClassVar[bool] = True

    @property
    def releases(self) -> Releases:
        """Losses and gradients; with pixel losses these tell of the real image."""
        return Releases(real_pixels=self.settings.reads_pixels)

    def check(self, config: TrainingConfig) -> None:
        """Find contradictions."""
        super().check(config)
        self.settings.check_merge(config.model)
        require_pictures("perceptual_weight", self.settings.perceptual_weight, config.data)

    def require_clients(self, clients: int) -> None:
        """Raise FederationError if the merge rule cannot do with so few."""
        self.settings.require_clients(clients)

    def ask(
        self, state: gan.ServerState, round_number: int, clients: Sequence[str]
    ) -> Iterable[tuple[str, gan.Proposal, gan.Question]]:
        """Draw for each client from its own label maps."""

        def ask_one(name: str) -> tuple[str, gan.Proposal, gan.Question]:
            return name, *gan.propose_own(state, name, round_number)

        return state.generator.for_each(ask_one, clients)

    def answer(self, session: gan.Session, round_number: int, question: gan.Question) -> gan.Answer:
        """Update D_k, and return the loss for G and its gradient, or how far the images were moved along it."""
        synthetic = session.synthetic(question)
        if self.settings.replay == "moved":
            chosen = self.settings
            return gan.move_and_judge(
                session,
                round_number,
                synthetic,
                passes=chosen.passes,
                step=chosen.target_step,
                final_rate=chosen.final_rate,
            )
        views = question.views if self.settings.reads_pixels else None
        return gan.step_and_judge(session, round_number, synthetic, synthetic, views=views)

    def learn(
        self,
        state: gan.ServerState,
        round_number: int,
        proposals: Mapping[str, gan.Proposal],
        answers: Mapping[str, gan.Answer],
        discounts: Mapping[str, float],
    ) -> gan.Step:
        """Step G along sum_k pi_k dL_k / dtheta."""
        return gan.sum_gradients(
            state,
            round_number,
            proposals,
            answers,
            discounts,
            merge=self.settings.merge,
            final_rate=self.settings.final_rate,
            added=self.added_loss(state),
        )

    def added_loss(self, state: gan.ServerState) -> AddedLoss | None:
        """Return what the server adds to the generator's loss in each step; nothing."""
        return None
