"""Dist-FID on the server: the Fréchet distance of synthetic images to real ones that no one place has.

Chang 2023, "Mining multi-center heterogeneous medical data with distributed synthetic learning": nodes send the moments
of their real images' features, and those of all images together follow from them. Theirs is Inception; here it is the
encoder of the segmentation model that was trained on the synthetic images, which needs neither a download nor a real
image.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from flwr.app import Message
from flwr.serverapp import Grid
from torch import Tensor, nn

from flower_dgan.comparison.feature_networks import encoder_features
from flower_dgan.comparison.image_sets import POOLED, TEST, cut_windows, spread
from flower_dgan.comparison.named_metric import NamedMetric
from flower_dgan.config import Config
from flower_dgan.data import Pairs, sizes_of
from flower_dgan.data.augmentation import grid_views
from flower_dgan.errors import DataError, FederationError, ProtocolError
from flower_dgan.federation.join import JoinedClient
from flower_dgan.metrics.shared.feature_moments import Moments, combine_moments, frechet_of_moments, moments_of
from flower_dgan.node.enough_windows import FEWEST_WINDOWS
from flower_dgan.randomness import derive_seed
from flower_dgan.run.quality_records import Distance
from flower_dgan.synthesis import draw_for, shares
from flower_dgan.wire.moments_messages import MOMENTS, MomentsAnswer, MomentsRequest
from flower_dgan.wire.parameters import flatten
from flower_dgan.wire.protocol import Training
from flower_dgan.wire.refusals import reason_of
from flower_dgan.wiring import bundle_settings

logger = logging.getLogger("flwr")

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class AnsweredMoments:
    """What the nodes said.

    Attributes
    ----------
    moments : dict of str to Moments
        By client name, in the order of the clients.
    missing : dict of str to str
        By the names of the others: why there are none.
    """

    moments: dict[str, Moments]
    missing: dict[str, str]


def windows_of(clients: Sequence[JoinedClient], config: Config) -> dict[str, int]:
    """Return of how many windows each client is asked for moments: its share of ``downstream.dist_fid``.

    Raises
    ------
    FederationError
        If the clients together have fewer, or no client is asked for as many as a node gives moments of.
    """
    asked = config.downstream.dist_fid
    have = [len(grid_views(sizes_of(client.labels.label_maps), config.data.image_size).ids) for client in clients]
    if sum(have) < asked:
        raise FederationError(
            f"downstream.dist_fid={asked} wants so many windows of {config.data.image_size} x "
            f"{config.data.image_size} pixels, and the clients together have {sum(have)}: set it to that or less."
        )
    found = {client.name: windows for client, windows in zip(clients, shares(have, asked), strict=True)}
    few = [f"{name} ({windows})" for name, windows in found.items() if windows < FEWEST_WINDOWS]
    if len(few) == len(found):
        raise FederationError(
            f"downstream.dist_fid={asked} asks no client for {FEWEST_WINDOWS} windows or more, and no node gives the "
            f"moments of fewer: set it higher; the clients have {', '.join(map(str, have))} windows."
        )
    if few:
        logger.warning("Too few windows for Dist-FID at %s: they will give no moments.", ", ".join(few))
    return found


def require_windows(test: Pairs, config: Config) -> None:
    """Raise DataError if the real test images have no two windows to compare with."""
    if len(cut_windows(TEST, test.images, config.data.image_size)) < 2:
        raise DataError("Dist-FID wants two windows or more of real test images: give more, or downstream.dist_fid=0.")


def ask_for_moments(
    grid: Grid, config: Config, clients: Sequence[JoinedClient], training: Training, encoder: nn.Module
) -> AnsweredMoments:
    """Ask the nodes that are connected for the moments of their real images' features.

    Parameters
    ----------
    grid : Grid
        The grid of the run.
    config : Config
        The run's configuration.
    clients : sequence of JoinedClient
        Whom to ask.
    training : Training
        Which training they have joined.
    encoder : nn.Module
        The feature network.
    """
    windows, network = windows_of(clients, config), flatten(encoder)
    connected = set(grid.get_node_ids())
    missing = {c.name: "it did not answer" if c.node_id in connected else "it is not connected" for c in clients}
    messages = [
        Message(
            MomentsRequest(training, windows[client.name], network).to_records(),
            dst_node_id=client.node_id,
            message_type=MOMENTS,
        )
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
                answer = MomentsAnswer.from_records(reply.content, windows[name], features_of(encoder))
            except ProtocolError as error:
                missing[name] = reason_of(error)
            else:
                found[name] = answer.moments
                missing.pop(name, None)
    return AnsweredMoments({name: found[name] for name in names.values() if name in found}, missing)


def distances(
    config: Config,
    clients: Sequence[JoinedClient],
    generator: nn.Module,
    encoder: nn.Module,
    moments: dict[str, Moments],
    test: Pairs,
) -> list[Distance]:
    """Return the distances of synthetic images to the real ones of all sites together and of each.

    As many synthetic images are drawn on a site's label maps as there are windows of it, anew, as the segmentation
    model has learned from the others. Where the generator knows the sites they are in the site's style, and a site is
    compared with its own; else each site is compared with all. What the server's real test images are from those of
    all sites says how large a distance is, as the unit is the network's own.

    Parameters
    ----------
    config : Config
        The run's configuration.
    clients : sequence of JoinedClient
        Those that have moments are used.
    generator, encoder : nn.Module
        Generator and feature network.
    moments : dict of str to Moments
        Of at least one client.
    test : Pairs
        Real pairs that no client has.
    """
    metric = NamedMetric("fid", "segmenter", features_of(encoder), config.downstream.dist_fid)
    seed = derive_seed(config.seed, "dist-fid")
    settings = replace(bundle_settings(config), augmentation="none", seed=seed)  # the real windows are as they are
    look = encoder_features(encoder)
    drawn: dict[str, Tensor] = {}
    for client in clients:
        if client.name in moments:
            drawn[client.name] = look(draw_for(generator, client.labels, settings, moments[client.name].count).images)
    everything = moments_of(torch.cat(list(drawn.values())))
    knows_sites = config.model.sites_fixed_by is not None
    pooled, unseen = combine_moments(moments.values()), cut_windows(TEST, test.images, config.data.image_size)
    tested = moments_of(look([unseen[index] for index in spread(len(unseen), min(len(unseen), pooled.count))]))
    compared = [(POOLED, pooled, SYNTHETIC, everything), (POOLED, pooled, TEST, tested)]
    for name, real in moments.items():
        compared.append((name, real, SYNTHETIC, moments_of(drawn[name]) if knows_sites else everything))
    found = [
        Distance(f"dist-{metric}", site, real.count, kind, other.count, frechet_of_moments(real, other), metric.wanted)
        for site, real, kind, other in compared
    ]
    for each in found:
        if each.means_little:
            few = min(each.windows, each.images)
            logger.warning("%s of %s means little by %d images: take %d.", each.metric, each.site, few, each.wanted)
    return found


def features_of(encoder: nn.Module) -> int:
    """Return the number of features of an encoder, the channels of its deepest maps."""
    return int(encoder.out_channels[-1])  # type: ignore[index]
