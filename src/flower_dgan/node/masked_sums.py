"""A node's part in a sum that the server cannot take apart: a key of its own, then one vector behind masks.

The vector is that of :mod:`flower_dgan.node.noisy_sums` with the node's share of the noise. It leaves once, for one
list of sites, all of whom the owner's policy names: other lists, keys that a named site did not sign for this very sum,
and sums of fewer sites are refused before anything is computed.
"""

import hashlib
import logging
import os
from dataclasses import dataclass

import numpy as np
from flwr.app import RecordDict
from numpy.typing import NDArray

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.config import TrainingConfig
from flower_dgan.data import Pairs
from flower_dgan.errors import ConfigError, ProtocolError
from flower_dgan.node.book import Book
from flower_dgan.node.identity import identity_in, identity_path
from flower_dgan.node.noisy_sums import asked_of, layout_of, say_signal, sum_of
from flower_dgan.node.own_policy import is_guarded
from flower_dgan.node.privacy_book import name_of_request, patients_of
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.state import ClientState
from flower_dgan.node.sum_keys import key_for, purpose_of, release_masked, sent_before
from flower_dgan.privacy.gaussian_mechanism import epsilon_of, sigma_of
from flower_dgan.privacy.masks import digest_of, is_signed, mask, public_identity, public_key, sign
from flower_dgan.privacy.noise import RandomBytes, noisy, seeded_bytes
from flower_dgan.privacy.shared_noise import require_headroom, share_of
from flower_dgan.randomness import derive_seed
from flower_dgan.wire.masked_sum_messages import MaskedSumAnswer, MaskedSumRequest, Offer
from flower_dgan.wire.noisy_sum_messages import ASKED
from flower_dgan.wire.protocol import Training
from flower_dgan.wiring import computing

logger = logging.getLogger("flwr")


@dataclass(frozen=True)
class _Simulated:
    """Keys of a node whose owner is whoever simulates: they follow from the run's seed, and protect nothing."""

    identity: bytes
    private: bytes

    @classmethod
    def of(cls, config: TrainingConfig, node: str, purpose: bytes) -> "_Simulated":
        seed = f"{derive_seed(config.seed, 'keys', node)}".encode()
        return cls(*(hashlib.sha256(what + purpose + seed).digest() for what in (b"identity", b"private")))


def give_sum_key(content: RecordDict, state: ClientState, node_config: NodeConfig) -> RecordDict:
    """Return the key that a node offers to the other sites of a sum, signed; the same whenever it is asked.

    Parameters
    ----------
    content : RecordDict
        The request.
    state : ClientState
        What the node knows of the training.
    node_config : NodeConfig
        Names the policy, and the node's identity.

    Raises
    ------
    ConfigError
        If the file of the identity cannot be used.
    PolicyError
        If the policy is against it, or more would be spent than the owner allows.
    ProtocolError
        If the request does not follow the protocol, or the training has no such sum.
    StorageError
        If the book cannot be read or written.
    """
    training = Training.from_records(content, ASKED)
    _, config, _, _ = asked_of(training, state, node_config, masked=True)
    return own_offer(training, config, state.node, node_config).to_records()


def own_offer(training: Training, config: TrainingConfig, node: str, node_config: NodeConfig) -> Offer:
    """Return what a node offers for a sum."""
    purpose = purpose_of(training, config)
    if is_guarded(node_config):
        identity, key = identity_in(identity_path(node_config)), key_for(Book(), purpose, node)
    else:
        simulated = _Simulated.of(config, node, purpose)
        identity, key = simulated.identity, public_key(simulated.private)
    return Offer(public_identity(identity), key, sign(identity, purpose, key))


def give_masked_sum(content: RecordDict, state: ClientState, node_config: NodeConfig) -> RecordDict:
    """Return the sum of what a node's patients add, with its share of the noise, behind masks.

    Who asks for the same gets the same bytes, and nobody gets others for this sum. The owner's book is charged for what
    is left if only those add their noise whom the owner trusts, see :class:`~flower_dgan.node.peers.Peers`.

    Parameters and errors are those of :func:`give_sum_key`.
    """
    request = MaskedSumRequest.from_records(content)
    pairs, config, policy, algorithm = asked_of(request.training, state, node_config, masked=True)
    own = own_offer(request.training, config, state.node, node_config)
    purpose = purpose_of(request.training, config)
    keys = _checked(request, own, purpose)
    settings, sites = algorithm.settings, len(keys)
    if sites < max(2, settings.honest_sites or 1):
        raise ProtocolError(f"a sum of {sites} sites in a training that wants {settings.honest_sites} honest ones")
    if is_guarded(node_config):
        policy.peers.check([identity for identity in keys if identity != own.identity])
    share = _share(algorithm, sites)
    roster = digest_of(purpose, keys)
    layout = layout_of(algorithm, config)

    def make(private: bytes, total: NDArray[np.int64], random_bytes: RandomBytes) -> NDArray[np.uint64]:
        try:
            hidden = mask(private, own.identity, keys, roster, layout.numbers).reshape(layout.shape)
        except ValueError as error:
            raise ProtocolError(f"a key that nobody can agree with: {error}") from error
        return noisy(total, share, random_bytes).view(np.uint64) + hidden

    if not is_guarded(node_config):
        seed = derive_seed(config.seed, "noise", state.node)
        private = _Simulated.of(config, state.node, purpose).private
        words = make(private, _own_sum(algorithm, pairs, state, config, sites), seeded_bytes(seed))
        return MaskedSumAnswer(words).to_records()
    name, mu = name_of_masked(state.node, config, roster), algorithm.release_cost_if(policy.peers.honest_sites)
    sent = sent_before(Book(), purpose, state.node, roster, name)
    if sent is not None:
        logger.info("The vector that this node sent before, behind the same masks, is sent again.")
    else:
        logger.info(
            "%s It is charged as epsilon %.4g, at the policy's delta of %g, as its owner trusts %d of the sites.",
            what_it_costs(algorithm),
            epsilon_of(mu, policy.delta),
            policy.delta,
            policy.peers.honest_sites,
        )
        total = _own_sum(algorithm, pairs, state, config, sites)  # before the book is locked, which others wait for

        def packed(private: bytes) -> bytes:
            return make(private, total, os.urandom).astype("<u8").tobytes()

        sent = release_masked(Book(), purpose, state.node, roster, name, mu, policy.check_spent, packed)
    return MaskedSumAnswer(np.frombuffer(sent, "<u8").astype(np.uint64).reshape(layout.shape)).to_records()


def name_of_masked(node: str, config: TrainingConfig, roster: bytes) -> bytes:
    """Return what names, in the owner's book, a vector that was sent for one list of sites."""
    return hashlib.sha256(name_of_request(node, config) + roster).digest()


def roster_of(request: MaskedSumRequest, config: TrainingConfig) -> bytes:
    """Return the digest of all that take part."""
    return digest_of(purpose_of(request.training, config), {each.identity: each.key for each in request.offers})


def what_it_costs(algorithm: DpMerf) -> str:
    """Return a sentence with both epsilons of a sum."""
    cost = algorithm.cost
    return (
        f"The sum costs epsilon {cost['epsilon']:.4g} if {cost['honest_sites']} of its sites, this one among them, are "
        f"honest, and {cost['alone']:.4g} if all others collude, at delta {cost['delta']:g}."
    )


def _checked(request: MaskedSumRequest, own: Offer, purpose: bytes) -> dict[bytes, bytes]:
    """Return the keys of all sites by their identities, each of which signed its key for this sum."""
    if own not in request.offers:
        raise ProtocolError("a list of sites that does not have this one's own key")
    for each in request.offers:
        if not is_signed(each.identity, purpose, each.key, each.signature):
            raise ProtocolError(f"a key that {each.identity.hex()} has not signed for this sum")
    return {each.identity: each.key for each in request.offers}


def _share(algorithm: DpMerf, sites: int) -> float:
    settings = algorithm.settings
    try:
        share = share_of(sigma_of(settings.epsilon, settings.delta), settings.honest_sites or 1)
        require_headroom(sites, share)
    except ValueError as error:
        raise ConfigError(f"{error}: set another algorithm.epsilon or algorithm.honest_sites.") from error
    return share


def _own_sum(
    algorithm: DpMerf, pairs: Pairs, state: ClientState, config: TrainingConfig, sites: int
) -> NDArray[np.int64]:
    patients, layout = patients_of(state.groups(len(pairs))), layout_of(algorithm, config)
    with computing(config):
        total = sum_of(algorithm, layout, pairs, patients, config)
    logger.info("Of %d sites like this one:", sites)
    say_signal(layout, total * sites, algorithm.share * sites**0.5, len(patients) * sites)
    return total
