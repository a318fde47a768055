"""What an algorithm is: settings, what leaves a node, the half at the server and the half at the clients.

Two drivers run any of them: ``flower_dgan.algorithms.in_process`` in one process, and the strategy and the ClientApp
through Flower. Both do in each round what this says::

    for name, proposal, question in algorithm.ask(state, round_number, algorithm.takes_part(clients, round_number)):
        answer = algorithm.answer(session_of_that_client, round_number, question)     # at the node
    step = algorithm.learn(state, round_number, proposals, answers, discounts)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from flower_dgan.config import AlgorithmSettings, TrainingConfig
from flower_dgan.errors import ConfigError
from flower_dgan.gan.releases import Releases

if TYPE_CHECKING:
    from flower_dgan import gan
    from flower_dgan.privacy.accountant import Release

SettingsT = TypeVar("SettingsT", bound=AlgorithmSettings)


class Algorithm(ABC, Generic[SettingsT]):
    """One way for a generator at a server to learn from discriminators at clients.

    Its methods keep nothing: what changes in a training is in the ``state`` at the server and the ``session`` at a
    client, which are kept and put back after a crash.

    Parameters
    ----------
    settings : SettingsT
        Of the class ``Settings``.

    Attributes
    ----------
    name : str
        What ``algorithm.name`` calls it; an algorithm of the user's own is called by its import path.
    Settings : type
        A frozen dataclass, derived from :class:`~flower_dgan.config.AlgorithmSettings`, of what can be set.
    formerly : tuple of str
        Overrides of earlier versions, such as ``merge=softmax``, that this algorithm stands for now.
    formerly_off : tuple of str
        Overrides of earlier versions that said not to do what this algorithm does: they are to be left out.
    bundles : int
        Bundles of synthetic images in one question.
    waits : bool
        Whether a round waits for all that it asked.
    once : bool
        Whether clients are asked once, before the first round, for a sum with noise, and rounds are the server's alone.
    moves : bool
        Whether its clients can move the images themselves, ``algorithm.replay=moved``.
    """

    name: ClassVar[str] = ""
    Settings: ClassVar[type[AlgorithmSettings]] = AlgorithmSettings
    formerly: ClassVar[tuple[str, ...]] = ()
    formerly_off: ClassVar[tuple[str, ...]] = ()
    bundles: ClassVar[int] = 1
    waits: ClassVar[bool] = False
    once: ClassVar[bool] = False
    moves: ClassVar[bool] = False

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    @property
    def releases(self) -> Releases:
        """What leaves a node. The owner's policy decides by it, and an answer with more in it is not sent."""
        return Releases()

    @property
    def release_cost(self) -> float:
        """What the release of a client costs, mu of ``flower_dgan.privacy.gaussian_mechanism``; 0 if there is none."""
        return 0.0

    def release_cost_if(self, honest_sites: int) -> float:
        """What it costs if so many clients of a sum, this one included, add their noise and tell the server nothing."""
        return self.release_cost

    def drawn_releases(self, config: TrainingConfig) -> tuple[Release, ...]:
        """Return what else a whole training costs a client's patients, where these are drawn; nothing."""
        return ()

    @property
    def one_in_flight(self) -> bool:
        """Whether a bundle can only be drawn when the one before it was answered."""
        return False

    @property
    def previous_run(self) -> str | None:
        """Run directory of the training whose generator this one begins with; None for none."""
        return None

    @property
    def settings_for_clients(self) -> SettingsT:
        """The settings as the clients are told them: without the server's own folders."""
        return self.settings

    def check(self, config: TrainingConfig) -> None:
        """Raise ConfigError where settings of the algorithm and others contradict each other."""
        what = f"algorithm={self.name}"
        if (self.waits or self.one_in_flight) and not config.schedule.is_synchronous:
            raise ConfigError(f"{what} wants schedule=synchronous, where a round waits for all that it asked.")
        if self.one_in_flight and config.exchange.in_flight > 1:
            raise ConfigError(f"{what} draws a bundle from what the last round made: set exchange.in_flight=1.")
        self._check_moves(config)
        if self.settings.replay != "gradient" and self.settings.diversity and config.data.image_size % 4:
            raise ConfigError(
                f"algorithm.diversity compares blocks of a quarter of the image, and data.image_size="
                f"{config.data.image_size} has no quarter in whole pixels: choose a multiple of 4, or set "
                "algorithm.diversity=0."
            )
        if self.releases.real_pixels and not config.allow_pixel_losses:
            raise ConfigError(
                "algorithm.l1_weight and algorithm.perceptual_weight let the server read real images. Set both to 0, "
                "or allow_pixel_losses=true for a simulation on data that are yours."
            )
        if self.releases.real_pixels and config.data.foreign_label_maps:
            raise ConfigError(
                "Pixel losses want a real image for each synthetic one, and there is none for the label maps of "
                f"data.label_maps={config.data.label_maps}: set algorithm.l1_weight=0 algorithm.perceptual_weight=0."
            )

    def _check_moves(self, config: TrainingConfig) -> None:
        moved = self.settings.replay == "moved"
        if moved and not self.moves:
            raise ConfigError(
                f"algorithm={self.name} does not let clients move the images, as algorithm.replay=moved says: set "
                "algorithm.replay=gradient."
            )
        if moved and not self.settings.target_step:
            raise ConfigError("algorithm.replay=moved wants the length of a move: set algorithm.target_step=0.15.")
        if moved and self.releases.real_pixels:
            raise ConfigError(
                "algorithm.replay=moved moves images along the discriminator's gradients, without pixel losses: set "
                "algorithm.l1_weight=0 algorithm.perceptual_weight=0."
            )
        if not moved and self.settings.passes > 1:
            raise ConfigError(
                f"algorithm.passes={self.settings.passes} is for algorithm.replay=moved: set algorithm.passes=1."
            )
        if config.model.levels == "site" and self.releases.of_network:
            raise ConfigError(
                f"algorithm={self.name} lets discriminators leave the client in whose levels they learn: set "
                "model.levels=none."
            )

    def require_clients(self, clients: int) -> None:
        """Raise FederationError if these are too few."""

    def begin(self, state: gan.ServerState) -> None:
        """Prepare a training, also one that goes on: the state is then as it was kept."""

    def takes_part(self, clients: Sequence[str], round_number: int) -> Sequence[str]:
        """Return which of the clients are asked in a round, from 1: all, if a paper says nothing else."""
        return clients

    @abstractmethod
    def ask(
        self, state: gan.ServerState, round_number: int, clients: Sequence[str]
    ) -> Iterable[tuple[str, gan.Proposal, gan.Question]]:
        """Make each client's question, one after the other.

        Yields
        ------
        tuple of str, Proposal and Question
            The client's name, what the server keeps until the answer is there, and what the client is sent.
        """

    @abstractmethod
    def answer(self, session: gan.Session, round_number: int, question: gan.Question) -> gan.Answer:
        """Answer a question; the client's half.

        Raises
        ------
        ProtocolError
            If the question lacks what the algorithm wants.
        """

    @abstractmethod
    def learn(
        self,
        state: gan.ServerState,
        round_number: int,
        proposals: Mapping[str, gan.Proposal],
        answers: Mapping[str, gan.Answer],
        discounts: Mapping[str, float],
    ) -> gan.Step:
        """Learn from the answers of a round.

        Parameters
        ----------
        state : ServerState
            Changed in place.
        round_number : int
            The round that closes.
        proposals, answers, discounts : mapping
            By the names of the clients that answered, at least one, in the order of the state: what each was sent, what
            it said, and what its answer is worth, in (0, 1]: 1 but for late ones.

        Raises
        ------
        DivergedError
            If what was learned is not finite.
        """


AnyAlgorithm = Algorithm[Any]
