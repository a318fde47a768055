"""What the owner of a node lets leave it: a file at the node, which nothing that the server sends can change."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.config.ranges import Because, Count, NonNegative, Positive, ProperFraction, Steps
from flower_dgan.errors import PolicyError
from flower_dgan.node.bounds import Bounds
from flower_dgan.node.peers import Peers
from flower_dgan.plugins import import_paths, package_of
from flower_dgan.privacy.accountant import Release, epsilon_of_all

_FREE = Bounds()
_NOBODY = Peers()
_ROUNDING = 1e-6  # epsilon to noise and back


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
        How often at most, in all trainings together, there may be feedback on the label map of one real image, and how
        often that image may be shown to a discriminator, in pairs that the node draws itself; None for any number.
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
    feedback : bool
        Whether losses, scores and gradients at synthetic images may leave without differential privacy.
    exact_figures : bool
        Whether the discriminator's loss on real images, seconds and memory leave as they were measured, or rounded.
    approval : bool
        Whether the owner approves each training before anything but its refusal leaves, see
        :mod:`flower_dgan.node.approvals`.
    approval_hours : float
        How long a training waits for that.
    trainings : int or None
        In how many trainings, in all its time, one image may be; None for any number.
    kept_trainings : int or None
        Of how many trainings at once the node keeps images and discriminator; None for any number.
    returns : int or None
        How often, in one training, the node may go back to what it kept for another bundle, as where a server was
        started again; None for any number.
    distinct_images : int
        How many different real images each step of the discriminator uses at least.
    epsilon : float or None
        What all releases with noise together may cost a patient, in all trainings, add or remove one; 0 for no such
        release, None for any.
    delta : float
        At which delta that epsilon is.
    peers : Peers
        With whom the node adds up sums that no server reads alone.
    publish_label_maps : bool
        Whether pieces of its label maps, which the server has by ``label_maps``, may be in the published set. Without
        it that has masks of other clients, or drawn ones.
    bounds : Bounds
        How far the settings of a training may go.
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
    feedback: bool = True
    exact_figures: bool = True
    approval: bool = False
    approval_hours: Positive = 72.0
    trainings: Count | None = None
    kept_trainings: Count | None = None
    returns: Count | None = None
    distinct_images: Steps = 1
    epsilon: Annotated[NonNegative, Because("0 is nothing, null any number")] | None = 0.0
    delta: ProperFraction = 1e-5
    peers: Peers = _NOBODY
    publish_label_maps: bool = False
    bounds: Bounds = _FREE

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
        releases = algorithm_of(config).releases
        if releases.feedback and not releases.private and not self.feedback:
            raise PolicyError(
                "feedback",
                "This node's policy lets no feedback on synthetic images leave without differential privacy "
                "(feedback), and this training has none: privacy=dp-sgd has.",
            )
        if releases.by_noise:
            cost = algorithm_of(config).release_cost_if(self.peers.honest_sites)
            self.check_spent(cost, *algorithm_of(config).drawn_releases(config))
        if releases.masked:
            self.peers.require()
        if not self.label_maps and config.data.target == "label-maps":
            raise PolicyError(
                "label_maps",
                "This node's policy does not let label maps leave (label_maps), and with data.target=label-maps they "
                "are what the generator learns to draw.",
            )
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
        if config.exchange.batch_size < self.distinct_images and not releases.by_noise:
            raise _too_few(config.exchange.batch_size, self.distinct_images)
        self.bounds.check(config)

    def check_distinct(self, images: NDArray[np.generic]) -> None:
        """Raise PolicyError if a step would use too few different images, each a row or a number."""
        if self.distinct_images > 1 and (found := len(np.unique(images, axis=0))) < self.distinct_images:
            raise _too_few(found, self.distinct_images)

    def check_returns(self, returns: int) -> None:
        """Raise PolicyError if the node would have gone back too often in a training, this time included."""
        if self.returns is not None and returns > self.returns:
            raise PolicyError(
                "returns",
                f"This node's policy lets it go back {self.returns} times in a training (returns), and this would be "
                f"time {returns}.",
            )

    def check_trainings(self, trainings: int, kept: int) -> None:
        """Raise PolicyError if a training, the last of so many of an image or of those that are kept, is too many."""
        if self.trainings is not None and trainings > self.trainings:
            raise PolicyError(
                "trainings",
                f"This node's policy lets an image take part in {self.trainings} trainings (trainings), and for one "
                f"this would be number {trainings}.",
            )
        if self.kept_trainings is not None and kept > self.kept_trainings:
            raise PolicyError(
                "kept_trainings",
                f"This node keeps {self.kept_trainings} trainings at once (kept_trainings), and this would be number "
                f"{kept}: delete those in its state directory that have ended.",
            )

    def check_queries(self, counts: NDArray[np.int64]) -> None:
        """Raise PolicyError if one of the real images would be asked about, or shown, too often.

        Parameters
        ----------
        counts : int64 array, (2, images)
            How often each image's label map was asked about, and how often the node drew the image itself, in all
            trainings; the bundle at hand included.
        """
        highest = counts.max(axis=0)
        if self.queries_per_image is not None and highest.max() > self.queries_per_image:
            raise PolicyError(
                "queries_per_image",
                f"This node's policy allows {self.queries_per_image} queries on one image in all trainings "
                f"(queries_per_image); image {int(highest.argmax())} would have {int(highest.max())}.",
            )

    def check_spent(self, mu: float, *drawn: Release) -> None:
        """Raise PolicyError if releases of mu and steps of drawn patients together are more than may be spent.

        See ``flower_dgan.privacy``.
        """
        if self.epsilon is None:
            return
        if not self.epsilon:
            raise PolicyError(
                "epsilon", "This node's policy lets nothing leave that spends privacy of patients (epsilon: 0)."
            )
        if (spent := epsilon_of_all(mu, drawn, self.delta)) > self.epsilon * (1 + _ROUNDING):
            raise PolicyError(
                "epsilon",
                f"This node's policy lets a patient spend epsilon {self.epsilon:g} at delta {self.delta:g} in all "
                f"trainings together (epsilon), and with this one's release it would be {spent:.4g}.",
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
        if self.scores and not self.label_maps:
            raise PolicyError(
                "scores",
                "This node's policy lets scores on its validation images leave (scores), but no label maps "
                "(label_maps): the score of a network that finds something everywhere tells how large the masks are.",
            )
        if not self.scores:
            raise PolicyError(
                "scores",
                "This node's policy does not let scores on its validation images leave (scores), as selection.checks "
                "does.",
            )


def _too_few(found: int, least: int) -> PolicyError:
    return PolicyError(
        "distinct_images",
        f"A step of {found} different images at a node whose policy wants {least} (distinct_images): set "
        f"exchange.batch_size={least} or more.",
    )
