"""After the training: which of its generators draws the best images, by the validation images of the nodes.

The server has no image to say it by. For each generator that was kept it trains the model of ``downstream`` on images
that this generator draws, as the row ``DGAN`` of the table does, and sends that model to the nodes: each scores it on
the images that it holds out for validation, and returns one rounded figure. So what is compared is TSTR on validation
images, and the test images have no say.
"""

import logging
import shutil
from collections.abc import Sequence

from flwr.app import Message
from flwr.serverapp import Grid
from torch import nn

from flower_dgan.baselines.choice_here import train_on_drawn
from flower_dgan.config import Config
from flower_dgan.errors import ProtocolError
from flower_dgan.federation.candidates import Candidates
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.recorder import record_ledger
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.ledger import Ledger
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.gan.shares import bound_shares
from flower_dgan.metrics import Metric, find_metric, shown
from flower_dgan.tasks.choice import Check, choose
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.answers import known_answers
from flower_dgan.wire.parameters import flatten
from flower_dgan.wire.parcels import Parcel
from flower_dgan.wire.refusals import reason_of
from flower_dgan.wire.score_messages import SCORE, ScoreAnswer, ScoreRequest

logger = logging.getLogger("flwr")

BEST_GENERATOR = "generator_best.safetensors"


def select_generator(
    grid: Grid,
    directory: RunDirectory,
    config: Config,
    clients: Sequence[JoinedClient],
    labels: Sequence[ClientLabels],
    candidates: Candidates,
    last: nn.Module,
) -> nn.Module:
    """Score the generators that were kept, write down the curve and the best one, and return the one to draw with.

    Parameters
    ----------
    grid : Grid
        The grid of the run.
    directory : RunDirectory
        Where the scores go, and the best generator as ``generator_best.safetensors``.
    config : Config
        The run's configuration.
    clients : sequence of JoinedClient
        Whom to ask.
    labels : sequence of ClientLabels
        What the synthetic dataset will be drawn on.
    candidates : Candidates
        The generators.
    last : nn.Module
        That of the last round.

    Returns
    -------
    nn.Module
        With ``selection.take=best`` the best one, or the last if no node said anything, which is logged; else the last.
    """
    envelope = Parcel(directory.training.identity, config.exchange.message_bytes)
    counting = FastGrid(grid, Ledger(known_answers()), envelope)  # the training's ledger is written down already
    names = {client.node_id: client.name for client in clients}
    counting.names.update(names)
    weights = weights_of(clients, config)
    metric = config.downstream.metrics[0]
    checks = []
    for round_number in candidates.rounds:
        network = flatten(train_on_drawn(candidates.read(round_number, last), labels, config))
        request = ScoreRequest(directory.training, round_number, network)
        scores, missing = ask_for_scores(counting, config, clients, request)
        checks.append(check := Check(round_number, scores))
        mean = check.mean(weights)
        directory.measure("check", round=round_number, metric=metric, score=mean, clients=scores, missing=missing)
        said = "no score" if mean is None else shown(metric, mean)
        reasons = "".join(f" | without {name}: {reason}" for name, reason in missing.items())
        logger.info("Validation %s of the generator of round %d: %s%s", metric, round_number, said, reasons)
    record_ledger(directory, counting.ledger, names)
    chosen = choose(checks, weights, find_metric(metric, Metric).best)
    if chosen is not None:
        with whole_file(directory.path / BEST_GENERATOR) as partial:
            shutil.copyfile(candidates.file(chosen.round), partial)
    elif config.selection.take == "best":
        logger.warning("No node scored any generator: the synthetic dataset is drawn by that of the last round.")
    taken = chosen.round if chosen and config.selection.take == "best" else config.exchange.rounds
    directory.measure("selection", best=None if chosen is None else chosen.round, taken=taken)
    return last if taken == config.exchange.rounds else candidates.read(taken, last)


def weights_of(clients: Sequence[JoinedClient], config: Config) -> dict[str, float]:
    """Return pi_k = n_k / sum n of each client, none of them above ``algorithm.largest_share``."""
    whole = sum(client.images for client in clients)
    shares = {client.name: client.images / whole for client in clients}
    return bound_shares(shares, config.algorithm.largest_share, len(clients))


def ask_for_scores(
    grid: Grid, config: Config, clients: Sequence[JoinedClient], request: ScoreRequest
) -> tuple[dict[str, float], dict[str, str]]:
    """Ask the nodes that are connected what a network is worth on their validation images.

    Returns
    -------
    dict of str to float
        The rounded scores by client, in the order of the clients.
    dict of str to str
        By the names of the others: why there are none.
    """
    connected = set(grid.get_node_ids())
    missing = {c.name: "it did not answer" if c.node_id in connected else "it is not connected" for c in clients}
    messages = [
        Message(request.to_records(), dst_node_id=client.node_id, message_type=SCORE)
        for client in clients
        if client.node_id in connected
    ]
    names, found = {client.node_id: client.name for client in clients}, {}
    for reply in grid.send_and_receive(messages, timeout=config.exchange.timeout):
        node = reply.metadata.src_node_id
        if (name := names.get(node)) is None:
            missing[f"node {node}"] = "a reply that nobody asked for"
        elif reply.has_error():
            missing[name] = reason_of(reply.error)
        else:
            try:
                found[name] = ScoreAnswer.from_records(reply.content).value
                missing.pop(name, None)
            except ProtocolError as error:
                missing[name] = reason_of(error)
    return {name: found[name] for name in names.values() if name in found}, missing
