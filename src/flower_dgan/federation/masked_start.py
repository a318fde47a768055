"""The start of a training whose clients send one sum together, behind masks: the server reads no part of it."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from flwr.app import RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.config import Config
from flower_dgan.errors import FederationError, ProtocolError, StorageError
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.noisy_start import NoisyStart, ask_each, start_of
from flower_dgan.privacy.class_sums import Layout, in_units
from flower_dgan.privacy.masks import add_up
from flower_dgan.whole_file import whole_file
from flower_dgan.wire.masked_sum_messages import MASKED_SUM, SUM_KEY, MaskedSumAnswer, MaskedSumRequest, Offer
from flower_dgan.wire.noisy_sum_messages import ASKED
from flower_dgan.wire.protocol import Training

logger = logging.getLogger("flwr")


def ask_together(
    grid: Grid, config: Config, algorithm: DpMerf, clients: Sequence[JoinedClient], training: Training, kept: Path
) -> NoisyStart:
    """Ask each client for a key, then all that gave one for their part of the sum.

    Those that give no key are left out. From then on all are needed: without the part of one the others' tell nothing.
    So the keys are kept in a file, ``kept``, and a run that is resumed asks those of the first time for the same, as
    they send nothing else, whoever else is there.

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
    offers = _read(kept) if kept.is_file() else _agree(grid, config, algorithm, clients, training)
    _keep(kept, offers)
    taking_part = [client for client in clients if client.name in offers]
    if away := sorted({*offers} - {client.name for client in taking_part}):
        raise FederationError(
            f"The sum of this training is that of {len(offers)} clients, and of these {', '.join(away)} did not join: "
            "resume the run when they are there, or begin another training, which is charged anew."
        )
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


def _agree(
    grid: Grid, config: Config, algorithm: DpMerf, clients: Sequence[JoinedClient], training: Training
) -> dict[str, Offer]:
    """Return the keys of those that take part, by their names."""
    fewest = max(2, algorithm.settings.honest_sites or 1, config.exchange.min_nodes)
    _require(len(clients), fewest, {})
    offers, refused = ask_each(grid, clients, SUM_KEY, training.to_records(ASKED), config, Offer.from_records)
    for name, other in _twins(offers):
        refused[name] = f"it is the same site as {other}, by its identity or key"
        del offers[name]
    for name, why in refused.items():
        logger.warning("The training goes on without %s: %s.", name, why)
    _require(len(offers), fewest, refused)
    return offers


def _keep(path: Path, offers: Mapping[str, Offer]) -> None:
    with whole_file(path, private=True) as partial:
        partial.write_text(json.dumps({name: each.packed.hex() for name, each in offers.items()}), encoding="utf-8")


def _read(path: Path) -> dict[str, Offer]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: Offer.unpacked(bytes.fromhex(each)) for name, each in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, ProtocolError) as error:
        raise StorageError(
            f"{path} cannot be read: {error}. It has the keys by which the clients of this training add up, without "
            "which it cannot go on: put it back, or begin another training, which is charged anew."
        ) from error


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
