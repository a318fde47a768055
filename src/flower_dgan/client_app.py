"""The ClientApp: describes its data once, then answers bundles with feedback. Real images stay in here."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.data import content_hash, pack, sizes_of
from flower_dgan.data.levels import levels_of
from flower_dgan.device import AUTO, describe, resolve_device, why_no_gpu
from flower_dgan.errors import DganError, FederationError, ProtocolError
from flower_dgan.flower.flower_chunks import cut_arrays_small
from flower_dgan.memory import peak_memory_mib
from flower_dgan.node.approvals import Approvals
from flower_dgan.node.asked_once import check_attempt
from flower_dgan.node.begin import begin_training
from flower_dgan.node.each_message import check_message, largest_message
from flower_dgan.node.kept_parts import answer_in_parts
from flower_dgan.node.node import Node, hashes_at, node_key, open_node, settings_at, takes_messages_in_order
from flower_dgan.node.open_sessions import forget_session, open_session
from flower_dgan.node.outbound import check_and_note, note_reply, training_of
from flower_dgan.node.own_policy import check_code, is_guarded, policy_word, release_policy
from flower_dgan.node.rounded import UNTOLD, rounded
from flower_dgan.node.secret import secret_of
from flower_dgan.node.simulation import in_simulation
from flower_dgan.node.state import ClientState
from flower_dgan.wire.answer_message import Effort, write_answer
from flower_dgan.wire.join_messages import LEAVE, JoinRequest, NodeDescription, label_maps_to_records
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import refuse
from flower_dgan.wiring import computing

logger = logging.getLogger("flwr")


def note_what_leaves(message: Message, context: Context, call_next: Callable[[Message, Context], Message]) -> Message:
    """Note what leaves a node with an owner, the last before the wire: without its line in the ledger nothing does."""
    reply = call_next(message, context)
    if not is_guarded(context.node_config):
        return reply
    try:
        note_reply(message, reply, context.node_config)
    except Exception as error:
        logger.error("A reply was held back: %s", error)
        return Message(refuse(error, details=False), reply_to=message)
    return reply


cut_arrays_small()
app = ClientApp(mods=[note_what_leaves])


@app.query("join")
def join(message: Message, context: Context) -> Message:
    """Answer ``query.join``: what the node has."""
    return _answer(message, context, _describe)


@app.query("label_maps")
def label_maps(message: Message, context: Context) -> Message:
    """Answer ``query.label_maps``: the label maps, where they leave."""
    return _answer(message, context, _give_label_maps)


@app.train("exchange")
def exchange(message: Message, context: Context) -> Message:
    """Answer ``train.exchange``: step the discriminator on the bundle and return feedback."""
    return _answer(message, context, _give_feedback)


@app.query("moments")
def moments(message: Message, context: Context) -> Message:
    """Answer ``query.moments``: mean and covariance of features of the real images, where the owner lets them leave."""
    return _answer(message, context, _give_moments)


@app.query("noisy_sum")
def noisy_sum(message: Message, context: Context) -> Message:
    """Answer ``query.noisy_sum``: a sum over the node's patients with noise, once, where its owner lets it leave."""
    return _answer(message, context, _give_noisy_sum)


@app.query("sum_key")
def sum_key(message: Message, context: Context) -> Message:
    """Answer ``query.sum_key``: a key for a sum of several nodes, where the owner lets the node take part in one."""
    return _answer(message, context, _give_sum_key)


@app.query("masked_sum")
def masked_sum(message: Message, context: Context) -> Message:
    """Answer ``query.masked_sum``: the node's part of a sum with noise, behind masks, once."""
    return _answer(message, context, _give_masked_sum)


@app.query("score")
def score(message: Message, context: Context) -> Message:
    """Answer ``query.score``: a rounded score on the validation images, where the owner lets it leave."""
    return _answer(message, context, _give_score)


@app.query("part")
def part(message: Message, context: Context) -> Message:
    """Answer ``query.part``: keep a part of a larger message, or give one of a larger answer."""
    return _answer(message, context, _refuse_whole)


@app.query("leave")
def leave(message: Message, context: Context) -> Message:
    """Answer ``query.leave``: forget the training."""
    return _answer(message, context, _forget)


def _answer(message: Message, context: Context, handle: Callable[[Message, Context], RecordDict]) -> Message:
    """Answer a message, or refuse it by a code: whatever went wrong, its text stays in this node's log."""
    guarded = is_guarded(context.node_config)

    def check(training: str) -> None:
        ends = message.metadata.message_type == LEAVE  # what was kept can be forgotten whatever the owner said
        if guarded and not ends and training:
            check_message(message.metadata.message_type, training, context.node_config)

    def largest(training: str) -> int:
        return largest_message(training, context.node_config)

    def handle_whole(whole: Message) -> RecordDict:
        check(training_of(whole))
        found = handle(whole, context)
        if guarded:
            check_and_note(whole, found, context.node_config)
        return found

    try:
        answer = answer_in_parts(message, node_key(context.node_config), handle_whole, check, largest)
        return Message(answer, reply_to=message)
    except Exception as error:
        ours = isinstance(error, DganError)
        logger.error("%s was refused: %s", message.metadata.message_type, error, exc_info=None if ours else error)
        return Message(refuse(error, details=in_simulation(context.node_config)), reply_to=message)


def _describe(message: Message, context: Context) -> RecordDict:
    node_config = context.node_config
    request = JoinRequest.from_records(message.content, partial(check_code, node_config))
    config = settings_at(request.config, node_config)
    policy = release_policy(config, node_config)
    policy.check_settings(config)
    device = resolve_device(config.device)  # refused now or never
    logger.info("This node computes on %s", describe(device, config.precision))
    if config.device == AUTO and device.type == "cpu" and (reason := why_no_gpu()) is not None:
        logger.warning("This node computes on the CPU: %s.", reason)
    if is_guarded(node_config):
        config = replace(config, device=AUTO)  # the owner's choice, and no part of what is approved and kept
        Approvals().require(policy, request.training.identity, config)
    node = open_node(config, node_config)
    state = _state(request.training, context)
    if not state.has_joined():
        policy.check_trainings(0, state.kept_beside() + 1)
    forget_session(state)
    by_noise = algorithm_of(config).releases.by_noise
    with state.forgotten_if_it_fails():

        def begin() -> tuple[int, NDArray[np.uint8], NDArray[np.uint8]]:
            images = hashes_at(config, node_config)
            return begin_training(policy, request.training, state, images, config.seed, by_noise=by_noise)

        token = state.join(
            node.name,
            node.pairs,
            config,
            request.training.attempt,
            node.validation,
            begin if is_guarded(node_config) else None,
            node.groups,
            by_noise,
        )
        secret_of(node_config, node_key(node_config), node.name, config.seed, state.repeat())  # refused now or never
        if is_guarded(node_config) and not policy.approval:
            Approvals().note_unasked(request.training.identity, config)
        description = _description(node, config, token, policy_word(node_config))
        return replace(description, publish=policy.publish_label_maps).to_records()


def _description(node: Node, config: TrainingConfig, token: str, policy: str) -> NodeDescription:
    description = NodeDescription(
        name=node.name,
        images=len(node.pairs),
        channels=node.channels or tuple(range(config.data.channels)),
        classes=node.pairs.classes,
        queue=takes_messages_in_order(),
        token=token,
        label_maps_hash=None,
        levels=levels_of(node.pairs.images) if config.model.levels == "site" else None,
        policy=policy,
    )
    if not config.data.counts_leave:
        return replace(description, images=None)
    if not config.data.label_maps_leave:
        return replace(description, sizes=sizes_of(node.pairs.images).astype(np.int32))
    packed = pack(node.pairs.label_maps, node.pairs.classes)
    return replace(description, label_maps_hash=content_hash(packed))


def _give_label_maps(message: Message, context: Context) -> RecordDict:
    training = Training.from_records(message.content, "request")
    _, pairs, config = _state(training, context).joined(partial(check_code, context.node_config))
    release_policy(config, context.node_config).check_settings(config)
    if not config.data.label_maps_leave:
        raise FederationError("The settings of this training let no label maps leave.")
    return label_maps_to_records(pack(pairs.label_maps, pairs.classes))


def _give_moments(message: Message, context: Context) -> RecordDict:
    # Imported here: the segmentation library takes seconds, which no other message need wait for.
    from flower_dgan.node.moments import give_moments

    state = _state(Training.of(message.content, "moments"), context)
    return give_moments(message.content, state, context.node_config)


def _give_noisy_sum(message: Message, context: Context) -> RecordDict:
    from flower_dgan.node.noisy_sums import give_noisy_sum  # imported here: few trainings want it

    state = _state(Training.of(message.content, "request"), context)
    return give_noisy_sum(message.content, state, context.node_config)


def _give_sum_key(message: Message, context: Context) -> RecordDict:
    from flower_dgan.node.masked_sums import give_sum_key  # imported here for the same reason

    return give_sum_key(message.content, _state(Training.of(message.content, "request"), context), context.node_config)


def _give_masked_sum(message: Message, context: Context) -> RecordDict:
    from flower_dgan.node.masked_sums import give_masked_sum  # imported here for the same reason

    state = _state(Training.of(message.content, "request"), context)
    return give_masked_sum(message.content, state, context.node_config)


def _give_score(message: Message, context: Context) -> RecordDict:
    from flower_dgan.node.score import give_score  # imported here for the same reason

    state = _state(Training.of(message.content, "score"), context)
    return give_score(message.content, state, context.node_config)


def _refuse_whole(message: Message, context: Context) -> RecordDict:
    raise ProtocolError(f"a {message.metadata.message_type} that is no part, at node {context.node_id}")


def _forget(message: Message, context: Context) -> RecordDict:
    training = Training.from_records(message.content, "leave")
    state = _state(training, context)
    if state.has_joined():
        check_attempt(training, state.attempt())
    forget_session(state)
    if is_guarded(context.node_config):
        Approvals().end(training.identity, used=state.answered())
    state.leave()
    return training.to_records("leave")


def _state(training: Training, context: Context) -> ClientState:
    return ClientState(training.identity, node_key(context.node_config))


def _give_feedback(message: Message, context: Context) -> RecordDict:
    start = time.monotonic()
    with open_session(Training.of(message.content, "bundle"), context.node_config) as node:
        envelope, question = node.read(message.content)
        if (stored := node.stored(envelope)) is not None:
            return stored
        with computing(node.config), node.answering(envelope, question) as session:
            begin = time.monotonic()
            answer = node.algorithm.answer(session, envelope.round_number, question)
            answer.check(node.algorithm.releases)
            compute_seconds = time.monotonic() - begin
        effort = Effort(time.monotonic() - start, compute_seconds, peak_memory_mib())
        if node.algorithm.releases.private:
            effort = UNTOLD
        if not node.exact_figures:
            answer, effort = rounded(answer, effort, node.config)
        content = write_answer(answer, effort, node.config.exchange.feedback_format)
        node.keep_answer(envelope, content)
        return content
