"""The start of a training whose clients answer once, with noise: what they say, and what the server makes of it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from flower_dgan.algorithms.dpmerf import MEANS, DpMerf
from flower_dgan.config import Config
from flower_dgan.data import Pixels
from flower_dgan.errors import FederationError, ProtocolError
from flower_dgan.federation.join import JoinedClient
from flower_dgan.gan.exchange import Parameters
from flower_dgan.gan.shares import bound_shares
from flower_dgan.privacy.class_sums import Layout, in_units
from flower_dgan.privacy.gaussian_mechanism import sigma_of
from flower_dgan.wire.noisy_sum_messages import ASKED, NOISY_SUM, NoisySumAnswer
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import reason_of

logger = logging.getLogger("flwr")

AnswerT = TypeVar("AnswerT")

_MOST_MAPS = 10_000  # label maps to draw from


@dataclass(frozen=True)
class NoisyStart:
    """What clients said, and what follows from it.

    Attributes
    ----------
    clients : tuple of JoinedClient
        Those that answered, with as many blank label maps as they seem to have patients; what is drawn from is the same
        for all, by how often each class seems to be.
    kept : dict of str to Parameters
        For the server's state: the mean embeddings, and which classes were seen.
    """

    clients: tuple[JoinedClient, ...]
    kept: dict[str, Parameters]


def ask_once(
    grid: Grid, config: Config, algorithm: DpMerf, clients: Sequence[JoinedClient], training: Training
) -> NoisyStart:
    """Ask each client for its sum; those that refuse, or answer what cannot be, are left out.

    Raises
    ------
    FederationError
        If fewer than ``exchange.min_nodes`` are left, their numbers of classes are not the training's, or no class
        stands out of the noise.
    """
    settings = algorithm.settings
    layout = Layout(clients[0].labels.classes, 2 * settings.frequencies, settings.count_share)
    sigma = sigma_of(settings.epsilon, settings.delta)
    if layout.classes != (wanted := algorithm.classes_of(config)):
        raise FederationError(f"The clients have {layout.classes} classes, and the training {wanted}.")

    def read(content: RecordDict) -> NDArray[np.float64]:
        noisy = in_units(NoisySumAnswer.from_records(content, layout.shape).steps)
        if not layout.is_plausible(noisy, sigma):
            raise ProtocolError("a sum that no patients with noise can have")
        return noisy

    found, missing = ask_each(grid, clients, NOISY_SUM, training.to_records(ASKED), config, read)
    for name, why in missing.items():
        logger.warning("The training goes on without %s: %s.", name, why)
    if len(found) < config.exchange.min_nodes:
        raise FederationError(
            f"{len(found)} clients answered, and exchange.min_nodes={config.exchange.min_nodes}: "
            + "; ".join(f"{name}: {why}" for name, why in missing.items())
        )
    return start_from(found, clients, config, layout, sigma)


def ask_each(
    grid: Grid,
    clients: Sequence[JoinedClient],
    kind: str,
    content: RecordDict,
    config: Config,
    read: Callable[[RecordDict], AnswerT],
) -> tuple[dict[str, AnswerT], dict[str, str]]:
    """Ask each client the same; return what is read of the answers, and why there is none of others, by their names.

    ``read`` raises ProtocolError where an answer is none.
    """
    messages = [Message(content, dst_node_id=client.node_id, message_type=kind) for client in clients]
    names = {client.node_id: client.name for client in clients}
    missing = dict.fromkeys(names.values(), "it did not answer")
    found: dict[str, AnswerT] = {}
    for reply in grid.send_and_receive(messages, timeout=config.exchange.timeout):
        if (name := names.get(reply.metadata.src_node_id)) is None:
            continue
        try:
            if reply.has_error():
                raise ProtocolError(reason_of(reply.error))
            found[name] = read(reply.content)
        except ProtocolError as error:
            missing[name] = reason_of(error)
        else:
            missing.pop(name, None)
    return found, missing


def start_from(
    found: Mapping[str, NDArray[np.float64]],
    clients: Sequence[JoinedClient],
    config: Config,
    layout: Layout,
    sigma: float,
) -> NoisyStart:
    """Return what follows from the sums, in units of 1, by client name; at least one.

    Of three clients or more none counts for more than ``algorithm.largest_share``, however many patients it says it
    has.
    """
    counts = {name: max(1.0, float(layout.counts(each).sum())) for name, each in found.items()}
    shares = {name: count / sum(counts.values()) for name, count in counts.items()}
    bounded = bound_shares(shares, config.algorithm.largest_share, len(found))
    factors = {name: bounded[name] / shares[name] for name in found}
    together = np.sum([factors[name] * found[name] for name in sorted(found)], axis=0)
    noise = sigma * float(np.linalg.norm(list(factors.values())))
    return start_of(together, counts, clients, config, layout, noise)


def start_of(
    together: NDArray[np.float64],
    counts: Mapping[str, float],
    clients: Sequence[JoinedClient],
    config: Config,
    layout: Layout,
    noise: float,
) -> NoisyStart:
    """Return what follows from one sum, with noise of this deviation, in units of 1.

    ``counts`` has how many patients each client that is part of it seems to have, by its name.
    """
    of_class = layout.counts(together)
    seen = layout.stands_out(of_class, noise)
    if not seen.any():
        raise FederationError(
            f"No class stands out of noise of {noise:.3g} patients: these clients have too few for the epsilon of the "
            "training. More of them are needed, or a larger algorithm.epsilon that their owners allow."
        )
    if lost := [config.data.class_label(index) for index, there in enumerate(seen.tolist()) if not there]:
        logger.warning("Lost in the noise, and not drawn: the classes %s.", ", ".join(lost))
    logger.info(
        "The clients seem to have %s patients of the classes, each up to %.0f more or fewer.",
        ", ".join(f"{count:.0f}" for count in of_class),
        2 * noise / layout.count_share**0.5,
    )
    foreign = class_maps(np.where(seen, of_class, 0.0), config.data.image_size)
    blank = np.broadcast_to(np.uint8(0), (config.data.image_size,) * 2)
    joined = []
    for site, client in enumerate(client for client in clients if client.name in counts):
        own = (blank,) * min(_MOST_MAPS, round(counts[client.name]))
        joined.append(replace(client, labels=replace(client.labels, site=site, foreign=foreign, label_maps=own)))
    means = {"means": layout.means(together).astype(np.float32), "seen": seen.astype(np.float32)}
    return NoisyStart(tuple(joined), {MEANS: means})


def class_maps(counts: NDArray[np.float64], image_size: int) -> tuple[Pixels, ...]:
    """Return constant label maps, as many of each class as there seem to be patients of it, 10,000 in all at most."""
    scale = min(1.0, _MOST_MAPS / counts.sum())
    each = [max(1, round(scale * count)) if count else 0 for count in counts.tolist()]
    maps = [np.broadcast_to(np.uint8(index), (image_size, image_size)) for index in range(len(each))]
    return tuple(maps[index] for index, many in enumerate(each) for _ in range(many))
