"""What is held against the owner's word for each message of a training, parts too, before it is handled."""

from functools import partial

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.node.approvals import Approvals
from flower_dgan.node.bounds import parameters_of
from flower_dgan.node.kept_parts import KeptParts
from flower_dgan.node.node import node_key
from flower_dgan.node.own_policy import check_code, release_policy
from flower_dgan.node.owner_ledger import OwnerLedger
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.state import ClientState
from flower_dgan.wire.join_messages import JOIN
from flower_dgan.wire.parcels import LARGEST

_MIB = 2**20
_SLACK = 2  # for how a message is packed
_MOST_OF_A_NETWORK = 512 * _MIB  # of downstream, of which moments or scores are asked


def check_message(kind: str, identity: str, node_config: NodeConfig) -> None:
    """Hold a message against what the owner says now, and forget answers in parts that another policy let leave.

    Parameters
    ----------
    kind : str
        Type of the message.
    identity : str
        Of its training.
    node_config : mapping
        The owner's.

    Raises
    ------
    PolicyError
        If the owner ended the training, wants to be asked, or has a policy against its settings.
    StorageError
        If the owner's book was lost.
    """
    OwnerLedger.of(node_key(node_config)).require_newest_book()
    Approvals().require_not_revoked(identity)
    state = ClientState(identity, node_key(node_config))
    if kind == JOIN or not state.has_joined():
        return
    config = state.settings(partial(check_code, node_config))
    policy = release_policy(config, node_config)
    policy.check_settings(config)
    Approvals().require_still(policy, identity)
    KeptParts(state.parcels()).under(repr(policy))


def largest_message(identity: str, node_config: NodeConfig) -> int:
    """Return how many bytes a message of a training may have in all its parts."""
    state = ClientState(identity, node_key(node_config))
    if not state.has_joined():
        return LARGEST
    return min(LARGEST, _bytes_of(state.settings(partial(check_code, node_config))))


def _bytes_of(config: TrainingConfig) -> int:
    """Return the bytes of the largest message that a training has: images, label maps, weights, or a network."""
    exchange, data = config.exchange, config.data
    bundles = algorithm_of(config).bundles
    images = bundles * exchange.exchanges * exchange.batch_size * data.image_size**2 * 4 * (data.channels + 1)
    asked = _MOST_OF_A_NETWORK if config.selection.checks or config.downstream.dist_fid else 0
    return _SLACK * (images + 4 * parameters_of(config)) + asked + _MIB
