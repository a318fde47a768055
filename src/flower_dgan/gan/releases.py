"""What leaves a node under an algorithm: the owner's policy reads it, and every answer is held against it."""

from dataclasses import dataclass

from flower_dgan.errors import PolicyError


@dataclass(frozen=True)
class Releases:
    """What an algorithm lets leave a node, beside label maps for the generator.

    Attributes
    ----------
    feedback : bool
        Losses or scores of synthetic images, and their gradients with respect to these images.
    weights : bool
        The discriminator's weights.
    changes : bool
        Changes of a discriminator's weights.
    real_pixels : bool
        Feedback that depends on a real image pixel by pixel: a server can read the image out of it.
    noisy_sums : bool
        A sum over all images of features with noise, once, that is differentially private by patient.
    masked : bool
        Whether these sums leave behind masks, so that only what all clients send together can be read.
    label_maps_to_clients : bool
        Whether other clients see images made from the client's label maps, and these.
    private : bool
        Whether the feedback is that of a discriminator which learned by clipped and noisy steps alone.
    """

    feedback: bool = True
    weights: bool = False
    changes: bool = False
    real_pixels: bool = False
    label_maps_to_clients: bool = False
    noisy_sums: bool = False
    masked: bool = False
    private: bool = False

    @property
    def by_noise(self) -> bool:
        """Whether noise alone bounds what leaves: then nothing else may depend on which patients are there."""
        return self.noisy_sums or self.private

    @property
    def of_network(self) -> bool:
        """Whether anything leaves that tells of the discriminator's weights."""
        return self.weights or self.changes

    def check(self, *, feedback: bool, weights: bool, changes: bool) -> None:
        """Raise PolicyError if an answer has a part that the algorithm does not say it releases."""
        parts = (
            (feedback, self.feedback, "feedback"),
            (weights, self.weights, "the discriminator"),
            (changes, self.changes, "changes of a discriminator"),
        )
        for sent, declared, what in parts:
            if sent and not declared:
                raise PolicyError(
                    "undeclared",
                    f"The algorithm answers with {what}, which its releases do not name: nothing was sent.",
                )
