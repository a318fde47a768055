"""What the owner of a node lets leave it: a file at the node, which nothing that the server sends can change."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.config.ranges import Count
from flower_dgan.config.read import read_settings
from flower_dgan.errors import ConfigError, FederationError, PolicyError
from flower_dgan.node.simulation import NodeConfig, in_simulation
from flower_dgan.node.stamp import Stamp, stamp
from flower_dgan.plugins import import_paths, package_of

FEWEST_WINDOWS, FEWEST_IMAGES = 50, 10
"""Of how many windows, and of how many images, moments may be at least.

The mean of one window's features is that window's features; with 50 windows none has more than a fiftieth of it. As
windows of one image are much alike, the images count too.
"""


@dataclass(frozen=True)
class ReleasePolicy:
    """What may leave a node besides losses and gradients at synthetic images, and whose code it runs.

    Attributes
    ----------
    label_maps : bool
        Whether its label maps may, or the classes of its images. Only ``data.condition=none`` and a folder in
        ``data.label_maps`` do without.
    label_maps_to_clients : bool
        Whether the server may pass them on to the other clients, as algorithms do whose clients judge common images.
    weights : bool
        Whether the weights of its discriminator may, or their changes: what it has learned of all its images.
    pixel_losses : bool
        Whether losses and gradients may that depend on the real image pixel by pixel: a server can read the image out
        of them.
    queries_per_image : int or None
        How often at most a training may ask for feedback on the label map of one real image, and how often it may show
        that image to the discriminator, in pairs that the node draws itself; None for any number.
    plugins : tuple of str
        Top-level packages that a training may name in an import path; see ``flower_dgan.plugins``.
    levels : bool
        Whether mean and standard deviation of its images may, a channel, in whole grey levels.
    moments : bool
        Whether mean and covariance may, once a training, of the features that a network of the server finds in windows
        of its real images.
    scores : bool
        Whether a rounded score may, for each check of ``selection``, of a network of the server on the real images that
        are held out for validation.
    """

    label_maps: bool
    label_maps_to_clients: bool
    weights: bool
    pixel_losses: bool
    queries_per_image: Count | None
    plugins: tuple[str, ...] = ()
    moments: bool = False
    scores: bool = False
    levels: bool = True

    def check_code(self, setting: str, path: str) -> None:
        """Raise PolicyError if a training may not name this import path."""
        if package_of(path) not in self.plugins:
            raise PolicyError(
                "plugins",
                f"This node's policy does not let a training name code of {package_of(path)} (plugins), as "
                f"{setting}={path} does.",
            )

    def check_settings(self, config: TrainingConfig) -> None:
        """Raise PolicyError, which names the rule, if a training with these settings would break it."""
        for setting, path in import_paths(config).items():
            self.check_code(setting, path)
        if not self.label_maps and config.data.label_maps_leave:
            raise PolicyError(
                "label_maps",
                "This node's policy does not let label maps leave (label_maps); a folder of others in data.label_maps "
                "does without.",
            )
        if config.model.levels == "site" and not self.levels:
            raise PolicyError(
                "levels",
                "This node's policy does not let mean and deviation of its images leave (levels), as model.levels=site "
                "does.",
            )
        releases = algorithm_of(config).releases
        masks_leave = config.data.condition == "label-map" and config.data.label_maps_leave
        what = f"algorithm={config.algorithm.name}"
        if masks_leave and releases.label_maps_to_clients and not self.label_maps_to_clients:
            raise PolicyError(
                "label_maps_to_clients",
                "This node's policy does not let its label maps reach the other clients (label_maps_to_clients), as "
                f"{what} does.",
            )
        if releases.weights and not self.weights:
            raise PolicyError(
                "weights", f"This node's policy does not let its discriminator leave (weights), as {what} does."
            )
        if releases.changes and not self.weights:
            raise PolicyError(
                "weights",
                f"This node's policy does not let changes of its discriminator leave (weights), as {what} does.",
            )
        if releases.real_pixels and not self.pixel_losses:
            raise PolicyError("pixel_losses", "This node's policy does not allow pixel losses (pixel_losses).")

    def check_queries(self, counts: NDArray[np.int64]) -> None:
        """Raise PolicyError if one of the real images would be asked about, or shown, too often.

        Parameters
        ----------
        counts : int64 array, (2, images)
            How often each image's label map was asked about in a training, and how often the node drew the image
            itself; the bundle at hand included.
        """
        highest = counts.max(axis=0)
        if self.queries_per_image is not None and highest.max() > self.queries_per_image:
            raise PolicyError(
                "queries_per_image",
                f"This node's policy allows {self.queries_per_image} queries on one image in a training "
                f"(queries_per_image); image {int(highest.argmax())} would have {int(highest.max())}.",
            )

    def check_moments(self) -> None:
        """Raise PolicyError, which names the rule, if moments of the real images may not leave."""
        if not self.moments:
            raise PolicyError(
                "moments",
                "This node's policy does not let moments of its real images' features leave (moments), as "
                "downstream.dist_fid does.",
            )

    def check_scores(self) -> None:
        """Raise PolicyError, which names the rule, if scores on the real validation images may not leave."""
        if not self.scores:
            raise PolicyError(
                "scores",
                "This node's policy does not let scores on its validation images leave (scores), as selection.checks "
                "does.",
            )


def check_windows(ids: NDArray[np.int64]) -> None:
    """Raise FederationError if moments would be of so few windows or images that they tell of single ones.

    Parameters
    ----------
    ids : int64 array (windows,)
        The image of each window.
    """
    windows, images = len(ids), len(np.unique(ids))
    if windows < FEWEST_WINDOWS or images < FEWEST_IMAGES:
        raise FederationError(
            f"Moments of {windows} windows of {images} images would tell of single ones: no node gives those of fewer "
            f"than {FEWEST_WINDOWS} windows, or {FEWEST_IMAGES} images."
        )


def check_code(node_config: NodeConfig, setting: str, path: str) -> None:
    """Raise PolicyError if a training may not name this import path at a node; before its settings are read."""
    if "policy" in node_config or not in_simulation(node_config):
        _own_policy(node_config).check_code(setting, path)


def release_policy(config: TrainingConfig, node_config: NodeConfig) -> ReleasePolicy:
    """Return the policy of a node.

    A deployed node has the one in the file that its owner names, ``--node-config 'policy="/etc/policy.yaml" ...'``;
    without a file it lets label maps reach the server, but no other client, and allows neither weights nor pixel
    losses, nor moments, nor scores, nor import paths. A simulated node belongs to whoever configured the run.

    Raises
    ------
    ConfigError
        If the file cannot be read, or does not say exactly what a policy says.
    """
    if "policy" in node_config or not in_simulation(node_config):
        return _own_policy(node_config)
    plugins = tuple(package_of(path) for path in import_paths(config).values())
    return ReleasePolicy(True, True, True, config.allow_pixel_losses, None, plugins, moments=True, scores=True)


def _own_policy(node_config: NodeConfig) -> ReleasePolicy:
    if (path := _policy_path(node_config)) is not None:
        try:
            return read_settings(ReleasePolicy, yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, TypeError) as error:
            raise ConfigError(f"This node's policy {path} cannot be read: {error}.") from error
        except ConfigError as error:
            raise ConfigError(f"This node's policy {path}: {error}") from error
    return ReleasePolicy(True, False, False, False, None, (), moments=False)


def stamp_of_policy(node_config: NodeConfig) -> Stamp:
    """Return what tells whether the owner has changed the policy's file since; opens no file."""
    path = _policy_path(node_config)
    return None if path is None else stamp(path)


def _policy_path(node_config: NodeConfig) -> Path | None:
    return Path(str(node_config["policy"])).expanduser() if "policy" in node_config else None
