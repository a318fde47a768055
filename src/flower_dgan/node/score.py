"""A node's answer to ``query.score``: what a network is worth on the images that the node holds out for validation."""

from functools import partial

import torch
from flwr.app import RecordDict

from flower_dgan.device import chosen_device
from flower_dgan.errors import DataError, ProtocolError
from flower_dgan.node.asked_once import note_once
from flower_dgan.node.node import settings_at
from flower_dgan.node.own_policy import check_code, release_policy
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.state import ClientState
from flower_dgan.placing import place
from flower_dgan.tasks import find_task
from flower_dgan.tasks.tstr import score
from flower_dgan.wire.parameters import flatten, unflatten
from flower_dgan.wire.score_messages import ScoreAnswer, ScoreRequest
from flower_dgan.wiring import computing


def give_score(content: RecordDict, state: ClientState, node_config: NodeConfig) -> RecordDict:
    """Return the first of ``downstream.metrics`` of the server's network on the validation images, rounded.

    Parameters
    ----------
    content : RecordDict
        The request.
    state : ClientState
        What the node knows of the training.
    node_config : NodeConfig
        Names the policy.

    Raises
    ------
    PolicyError
        The policy is against it.
    DataError
        The node holds no image out for validation, or there is nothing to find in them.
    FederationError
        It scored another network for this check before.
    ProtocolError
        The request does not follow the protocol, or is of a round that has no check.
    """
    name, _, config = state.joined(partial(check_code, node_config))
    config = settings_at(config, node_config)
    release_policy(config, node_config).check_scores()
    if (validation := state.validation()) is None:
        raise DataError(f"{name} holds no image out for validation: its training images are of a single group.")
    task = find_task(config.downstream.task)
    with torch.random.fork_rng(devices=[]):
        model = task.build(config.downstream, channels=config.data.channels, classes=validation.classes)
    request = ScoreRequest.from_records(content, len(flatten(model)))
    if request.round_number not in config.selection.rounds(config.exchange.rounds):
        raise ProtocolError(f"a score of round {request.round_number}, which has no check")
    note_once(state, request.training, f"scores of round {request.round_number}", request.digest())
    unflatten(model, request.network)
    with computing(config):
        place(model, chosen_device())
        metrics = config.downstream.metrics[:1]
        values = score(task, model, validation, image_size=config.data.image_size, metrics=metrics)
    return ScoreAnswer.of(values[metrics[0]]).to_records()
