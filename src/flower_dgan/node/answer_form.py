"""Types and shapes of what leaves: names alone would let real images pass as losses."""

from dataclasses import replace

from flwr.app import RecordDict

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ProtocolError
from flower_dgan.networks.build import discriminator_form
from flower_dgan.node.book import Book
from flower_dgan.node.node import settings_at
from flower_dgan.node.own_policy import release_policy
from flower_dgan.node.privacy_book import released
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.state import ClientState
from flower_dgan.wire.answer_message import read_answer
from flower_dgan.wire.bundle_shape import BundleShape
from flower_dgan.wire.join_messages import JOIN, LABEL_MAPS, NodeDescription, label_maps_from_records
from flower_dgan.wire.masked_sum_messages import MASKED_SUM, SUM_KEY, MaskedSumAnswer, MaskedSumRequest, Offer
from flower_dgan.wire.moments_messages import MOMENTS, MomentsAnswer
from flower_dgan.wire.noisy_sum_messages import ASKED, NOISY_SUM, NoisySumAnswer
from flower_dgan.wire.parameters import DISCRIMINATOR
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.question_message import EXCHANGE
from flower_dgan.wire.score_messages import SCORE, ScoreAnswer

_MOST_FEATURES = 4096


def check_form(
    kind: str,
    question: RecordDict,
    answer: RecordDict,
    state: ClientState,
    config: TrainingConfig,
    node_config: NodeConfig,
) -> None:
    """Raise ProtocolError if an answer has not the form that the settings of the training give it.

    Its records and keys are looked at before, as :func:`~flower_dgan.node.outbound.check_and_note` does.

    Parameters
    ----------
    kind : str
        Type of the message that is answered.
    question, answer : RecordDict
        What it asked, and what would leave.
    state : ClientState
        What the node keeps of the training.
    config : TrainingConfig
        The settings of that.
    node_config : mapping
        The owner's.
    """
    if kind == EXCHANGE:
        _check_answer(answer, state, config)
    elif kind == JOIN:
        _check_description(answer, state, config, node_config)
    elif kind == LABEL_MAPS:
        label_maps_from_records(answer)
    elif kind == MOMENTS:
        windows = question.config_records["moments"]["windows"]
        features = answer.array_records["moments"]["mean"].shape[0]
        if type(windows) is not int or not features <= _MOST_FEATURES:
            raise ProtocolError(f"moments of {features} features")
        MomentsAnswer.from_records(answer, windows, features)
    elif kind == SCORE:
        ScoreAnswer.from_records(answer)
    elif kind == NOISY_SUM:
        _check_sum(answer, config)
    elif kind == SUM_KEY:
        from flower_dgan.node.masked_sums import own_offer  # imported here: few trainings want it

        training = Training.from_records(question, ASKED)
        if Offer.from_records(answer) != own_offer(training, settings_at(config, node_config), state.node, node_config):
            raise ProtocolError("an offer that is not the key of the owner's book")
    elif kind == MASKED_SUM:
        _check_masked(question, answer, state, settings_at(config, node_config))


def _check_answer(answer: RecordDict, state: ClientState, config: TrainingConfig) -> None:
    classes, channels = state.form()
    shape = replace(BundleShape.of(config, classes), channels=channels)
    sent = DISCRIMINATOR in answer or "change" in answer
    form = discriminator_form(config, classes, channels) if sent else None
    weights = form.shapes if form and DISCRIMINATOR in answer else None
    read_answer(answer, shape, weights, form.entries if form and "change" in answer else 0)


def _check_description(answer: RecordDict, state: ClientState, config: TrainingConfig, node_config: NodeConfig) -> None:
    leaving, counted = config.data.label_maps_leave, config.data.counts_leave
    found = NodeDescription.from_records(answer, label_maps_leave=leaving, counts_leave=counted)
    if found.levels is not None and config.model.levels != "site":
        raise ProtocolError("levels, which the training does not ask for")
    if found.token != state.token():
        raise ProtocolError("a token that is not the node's")
    if found.publish and not release_policy(config, node_config).publish_label_maps:
        raise ProtocolError("that label maps may be published, which the policy does not allow")


def _check_sum(answer: RecordDict, config: TrainingConfig) -> None:
    from flower_dgan.node.noisy_sums import layout_of  # imported here: few trainings want it

    algorithm = algorithm_of(config)
    if not isinstance(algorithm, DpMerf):
        raise ProtocolError("a sum with noise, which the training does not ask for")
    NoisySumAnswer.from_records(answer, layout_of(algorithm, config).shape)


def _check_masked(question: RecordDict, answer: RecordDict, state: ClientState, config: TrainingConfig) -> None:
    """What leaves is what the owner's book has kept and charged for, to the bit: nothing else has masks on it."""
    from flower_dgan.node.masked_sums import name_of_masked, roster_of  # imported here: few trainings want it
    from flower_dgan.node.noisy_sums import layout_of

    algorithm = algorithm_of(config)
    if not isinstance(algorithm, DpMerf):
        raise ProtocolError("a sum behind masks, which the training does not ask for")
    roster = roster_of(MaskedSumRequest.from_records(question), config)
    with Book().changing() as rows:
        kept = released(rows, name_of_masked(state.node, config, roster))
    if MaskedSumAnswer.from_records(answer, layout_of(algorithm, config).shape).words.astype("<u8").tobytes() != kept:
        raise ProtocolError("a vector that the owner's book does not have")
