"""The start of a training whose clients send one sum together, behind masks: the server reads no part of it."""

import logging
from collections.abc import Sequence

import numpy as np
from flwr.app import RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.config import Config
from flower_dgan.errors import FederationError
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.noisy_start import NoisyStart, ask_each, start_of
from flower_dgan.privacy.class_sums import Layout, in_units
from flower_dgan.privacy.masks import add_up
from flower_dgan.wire.masked_sum_messages import MASKED_SUM, SUM_KEY, MaskedSumAnswer, MaskedSumRequest, Offer
from flower_dgan.wire.noisy_sum_messages import ASKED
from flower_dgan.wire.protocol import Training

logger = logging.getLogger("flwr")


def ask_together(
    grid: Grid, config: Config, algorithm: DpMerf, clients: Sequence[JoinedClient], training: Training
) -> NoisyStart:
    """Ask each client for a key, then all that gave one for their part of the sum.

    Those that give no key are left out. From then on all are needed: without the part of one the others' tell nothing.

    Raises
    ------
    FederationError
        If there are too few clients, one that gave a key sends no part, their parts do not make up a sum that patients
        can have, their numbers of classes are not the training's, or no class stands out of the noise.
    """
    settings = algorithm.settings
    layout = Layout(clients[0].labels.classes, 2 * settings.frequencies, settings.count_share)
    if layout.classes != (wanted := algorithm.classes_of(config)):
        raise FederationError(f"The clients have {layout.classes} classes, and the training {wanted}.")
    fewest = max(2, settings.honest_sites or 1, config.exchange.min_nodes)
    _require(len(clients), fewest, {})
    offers, refused = ask_each(grid, clients, SUM_KEY, training.to_records(ASKED), config, Offer.from_records)
    for name, other in _twins(offers):
        refused[name] = f"it is the same site as {other}, by its identity or key"
        del offers[name]
    for name, why in refused.items():
        logger.warning("The training goes on without %s: %s.", name, why)
    _require(len(offers), fewest, refused)
    taking_part = [client for client in clients if client.name in offers]
    request = MaskedSumRequest(training, tuple(sorted(offers.values()))).to_records()

    def read(content: RecordDict) -> NDArray[np.uint64]:
        return MaskedSumAnswer.from_records(content, layout.shape).words

    parts, missing = ask_each(grid, taking_part, MASKED_SUM, request, config, read)
    if missing:
        raise FederationError(
            f"{len(parts)} of {len(offers)} clients sent their part of the sum; without the others it tells nothing: "
            + "; ".join(f"{name}: {why}" for name, why in missing.items())
            + ". Once they are there, resume=<this run's directory> asks all for the same again, and charges nobody "
            "twice; another training is another sum, and is charged anew."
        )
    together, noise = in_units(add_up([*parts.values()])), algorithm.share * len(parts) ** 0.5
    if not layout.is_plausible(together, noise):
        raise FederationError(
            f"What the {len(parts)} clients sent is no sum that patients with noise can have: one of them was told of "
            "other sites or keys, or did not send what it should. Of masked parts nobody can tell which."
        )
    each = max(1.0, float(layout.counts(together).sum()) / len(parts))
    return start_of(together, dict.fromkeys(parts, each), taking_part, config, layout, noise)


def _twins(offers: dict[str, Offer]) -> list[tuple[str, str]]:
    """Return the names of clients that have identity or key of another that comes before, with that one's."""
    seen: dict[bytes, str] = {}
    found = []
    for name, offer in sorted(offers.items()):
        if (other := seen.get(offer.identity) or seen.get(offer.key)) is not None:
            found.append((name, other))
        else:
            seen |= {offer.identity: name, offer.key: name}
    return found


def _require(found: int, fewest: int, why: dict[str, str]) -> None:
    if found < fewest:
        raise FederationError(
            f"{found} clients take part in a sum that wants {fewest} (2, algorithm.honest_sites, exchange.min_nodes)"
            + "".join(f"; {name}: {each}" for name, each in why.items())
            + ". With fewer, or one alone, privacy=moments has each add its own noise."
        )
