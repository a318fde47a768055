"""A node's answer to ``query.moments``: what its owner lets the server know of the real images' features."""

from functools import partial

from flwr.app import RecordDict

from flower_dgan.comparison.feature_networks import encoder_features, open_encoder
from flower_dgan.comparison.image_sets import cut_windows, spread
from flower_dgan.data import sizes_of
from flower_dgan.data.augmentation import grid_views
from flower_dgan.device import chosen_device
from flower_dgan.errors import ProtocolError
from flower_dgan.metrics.shared.feature_moments import moments_of
from flower_dgan.node.asked_once import note_once
from flower_dgan.node.book import Book
from flower_dgan.node.enough_windows import check_windows
from flower_dgan.node.kept_pairs import kept_hashes
from flower_dgan.node.node import settings_at
from flower_dgan.node.own_policy import check_code, is_guarded, release_policy
from flower_dgan.node.simulation import NodeConfig
from flower_dgan.node.state import ClientState
from flower_dgan.placing import place
from flower_dgan.wire.moments_messages import MomentsAnswer, MomentsRequest
from flower_dgan.wire.parameters import flatten, unflatten
from flower_dgan.wiring import computing


def give_moments(content: RecordDict, state: ClientState, node_config: NodeConfig) -> RecordDict:
    """Return count, mean and covariance of the features of windows of the real training images, and nothing else.

    The windows are some of those that tile every image from its top left, spread evenly over the node.

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
    FederationError
        The policy is against it, the windows or images are too few, the training had other moments before, or another
        training had those of another number of windows.
    ProtocolError
        The request does not follow the protocol, or is about more windows than there are.
    """
    name, pairs, config = state.joined(partial(check_code, node_config))
    config = settings_at(config, node_config)
    release_policy(config, node_config).check_moments()
    size = config.data.image_size
    encoder = open_encoder(config.downstream, config.data.channels)
    request = MomentsRequest.from_records(content, len(flatten(encoder)))
    ids = grid_views(sizes_of(pairs.images), size).ids
    if not 0 <= request.windows <= len(ids):
        raise ProtocolError(f"moments of {request.windows} windows at a node that has {len(ids)}")
    chosen = spread(len(ids), request.windows)
    check_windows(ids[chosen])
    if is_guarded(node_config):
        if request.windows > config.downstream.dist_fid:
            raise ProtocolError(f"moments of {request.windows} windows, not of up to {config.downstream.dist_fid}")
        Book().keep_to_windows(kept_hashes(state.path, pairs), size, request.windows)
    note_once(state, request.training, "moments", request.digest())
    unflatten(encoder, request.network)
    windows = cut_windows(name, pairs.images, size)
    with computing(config):
        moments = moments_of(encoder_features(place(encoder, chosen_device()))([windows[index] for index in chosen]))
    return MomentsAnswer(moments).to_records()
