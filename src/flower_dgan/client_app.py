"""The ClientApp: describes its data once, then answers bundles with feedback. Real images stay in here."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray
from torch import Tensor, nn

from flower_dgan.algorithms.asyndgan import client_update
from flower_dgan.algorithms.distributed_gan import select, train_user
from flower_dgan.config import TrainingConfig
from flower_dgan.data import content_hash, pack, sizes_of, to_one_hot
from flower_dgan.errors import DganError, FederationError, ProtocolError
from flower_dgan.flower.flower_chunks import cut_arrays_small
from flower_dgan.gan.exchange import Batch, Feedback
from flower_dgan.gan.randomness import derive_generator
from flower_dgan.gan.session import Session
from flower_dgan.memory import peak_memory_mib
from flower_dgan.node.node import Node, node_key, open_node, settings_at, takes_messages_in_order
from flower_dgan.node.open_sessions import forget_session, open_session
from flower_dgan.node.parcels import answer_in_parts
from flower_dgan.node.policy import release_policy
from flower_dgan.node.secret import secret_of
from flower_dgan.node.simulation import in_simulation
from flower_dgan.node.state import ClientState
from flower_dgan.wire.bundle_message import BundleMessage
from flower_dgan.wire.feedback_message import FeedbackMessage
from flower_dgan.wire.formats import decode_images, encode_gradients
from flower_dgan.wire.join_messages import JoinRequest, NodeDescription, label_maps_to_records
from flower_dgan.wire.parameters import EMPTY
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import refuse
from flower_dgan.wiring import threads

logger = logging.getLogger("flwr")

cut_arrays_small()
app = ClientApp()


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
    try:
        answer = answer_in_parts(message, node_key(context.node_config), lambda whole: handle(whole, context))
        return Message(answer, reply_to=message)
    except Exception as error:
        ours = isinstance(error, DganError)
        logger.error("%s was refused: %s", message.metadata.message_type, error, exc_info=None if ours else error)
        return Message(refuse(error, details=in_simulation(context.node_config)), reply_to=message)


def _describe(message: Message, context: Context) -> RecordDict:
    request = JoinRequest.from_records(message.content)
    config = settings_at(request.config, context.node_config)
    release_policy(config, context.node_config).check_settings(config)
    node = open_node(config, context.node_config)
    secret_of(context.node_config, node_key(context.node_config), node.name, config.seed)  # refused now or never
    state = _state(request.training, context)
    forget_session(state)
    with state.forgotten_if_it_fails():
        token = state.join(node.name, node.pairs, config, request.training.attempt)
        return _description(node, config, token).to_records()


def _description(node: Node, config: TrainingConfig, token: str) -> NodeDescription:
    description = NodeDescription(
        name=node.name,
        images=len(node.pairs),
        channels=node.channels or tuple(range(config.data.channels)),
        classes=node.pairs.classes,
        queue=takes_messages_in_order(),
        token=token,
        label_maps_hash=None,
    )
    if not config.data.label_maps_leave:
        return replace(description, sizes=sizes_of(node.pairs.images).astype(np.int32))
    packed = pack(node.pairs.label_maps, node.pairs.classes)
    return replace(description, label_maps_hash=content_hash(packed))


def _give_label_maps(message: Message, context: Context) -> RecordDict:
    training = Training.from_records(message.content, "request")
    _, pairs, config = _state(training, context).joined()
    release_policy(config, context.node_config).check_settings(config)
    if not config.data.label_maps_leave:
        raise FederationError("The settings of this training let no label maps leave.")
    return label_maps_to_records(pack(pairs.label_maps, pairs.classes))


def _give_moments(message: Message, context: Context) -> RecordDict:
    # Imported here: the segmentation library takes seconds, which no other message need wait for.
    from flower_dgan.node.moments import give_moments

    state = _state(Training.of(message.content, "moments"), context)
    return give_moments(message.content, state, context.node_config)


def _refuse_whole(message: Message, context: Context) -> RecordDict:
    raise ProtocolError(f"a {message.metadata.message_type} that is no part, at node {context.node_id}")


def _forget(message: Message, context: Context) -> RecordDict:
    training = Training.from_records(message.content, "leave")
    state = _state(training, context)
    forget_session(state)
    state.leave()
    return training.to_records("leave")


def _state(training: Training, context: Context) -> ClientState:
    return ClientState(training.identity, node_key(context.node_config))


def _give_feedback(message: Message, context: Context) -> RecordDict:
    start = time.monotonic()
    with open_session(Training.of(message.content, "bundle"), context.node_config) as node:
        bundle, config = node.read(message.content), node.config
        with threads(config.threads), node.answering(bundle) as session:
            begin = time.monotonic()
            feedback, losses, change = _answer_bundle(session, bundle, config)
            compute_seconds = time.monotonic() - begin
        gradients, scales = encode_gradients(feedback.gradients, config.exchange.feedback_format)
        swaps = config.algorithm.swap_interval > 0
        # Inside: what goes out is a view of the discriminator in memory until it is in a record.
        return FeedbackMessage(
            losses=feedback.losses.numpy(),
            gradients=gradients,
            scales=scales,
            discriminator_loss=sum(losses) / len(losses),
            busy_seconds=time.monotonic() - start,
            compute_seconds=compute_seconds,
            peak_memory_mib=peak_memory_mib(),
            discriminator=_parameters(session.half.network) if bundle.swap and swaps else None,
            change=change,
        ).to_records()


def _answer_bundle(
    session: Session, bundle: BundleMessage, config: TrainingConfig
) -> tuple[Feedback, tuple[float, ...], NDArray[np.float32]]:
    """Return the feedback on a bundle, the discriminator's losses, and what it uploads of its change."""
    number, half = bundle.round_number, session.half
    if bundle.discriminator is not None:
        half.network.load_state_dict({key: torch.from_numpy(value) for key, value in bundle.discriminator.items()})
    synthetic = Batch(decode_images(bundle.images), _given_label_maps(session, bundle))
    if config.algorithm.upload != "none":
        trained, losses = train_user(session, number, synthetic)
        places = derive_generator(config.seed, "upload", number, session.name)
        nothing = Feedback(torch.zeros(0), torch.zeros(0, *synthetic.images.shape[1:]))
        return nothing, losses, select(trained, config.algorithm, places).numpy()
    samples = config.exchange.exchanges * config.exchange.batch_size
    trained_on, judged = synthetic[:samples], synthetic[-samples:]  # the same, but where they are separate
    feedback, losses = client_update(session, number, trained_on, judged, bundle.views)
    return feedback, losses, EMPTY


def _given_label_maps(session: Session, bundle: BundleMessage) -> Tensor:
    """Return the label maps that the synthetic images were made from, which travel, or are the node's own."""
    if bundle.label_maps is not None:
        return to_one_hot(bundle.label_maps, session.pairs.classes)
    assert bundle.views is not None
    return session.label_maps(bundle.views)


def _parameters(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    return {name: value.numpy() for name, value in network.state_dict().items()}
