"""How good generated images are where the real ones have class labels, by a classifier trained on the real ones.

Three questions with one answer each: does the generator make every class (:func:`class_shares`,
:func:`covered_classes`), do its images look like real ones (:func:`frechet_cnn32`), and does it make the class
that it was asked for (:func:`class_agreement`)? The figures of two generators compare only by the same classifier.
"""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from flower_dgan.comparison.classifier import Classifier, label_tensor, train_classifier
from flower_dgan.data.pairs import Pixels
from flower_dgan.metrics.shared.feature_moments import frechet_distance
from flower_dgan.tasks.classification.network import FEATURES

__all__ = [
    "Classifier",
    "class_agreement",
    "class_shares",
    "covered_classes",
    "frechet_cnn32",
    "frechet_cnn32_floor",
    "train_classifier",
]

_SAMPLES_A_FEATURE = 10


def class_shares(classifier: Classifier, images: Sequence[Pixels]) -> tuple[float, ...]:
    """Return the share of the images that the classifier puts into each class; they sum to 1."""
    counts = classifier.predict(images).bincount(minlength=classifier.classes)
    return tuple(int(count) / len(images) for count in counts)


def covered_classes(shares: Sequence[float], among: Iterable[int] | None = None) -> int:
    """Return how many classes have at least half of an even share of the images: 5 % where there are ten.

    Those that no client has do not count where ``among`` names the others.
    """
    chosen = shares if among is None else [shares[label] for label in among]
    return sum(share >= 0.5 / len(shares) for share in chosen)


def class_agreement(classifier: Classifier, images: Sequence[Pixels], labels: Sequence[int]) -> float:
    """Return the share of the images that the classifier puts into their own class, in [0, 1].

    With the classes that a class-conditional generator was asked for it is the "GAN-test" of Shmelkov 2018, "How good
    is my GAN?". With the real test split it is the classifier's accuracy, which says how far the other figures can be
    trusted and is to be reported beside them.

    Raises
    ------
    DataError
        Images and labels do not fit.
    """
    truth = label_tensor(images, labels, classifier.classes)
    return float((classifier.predict(images) == truth).double().mean())


def frechet_cnn32(classifier: Classifier, synthetic: Sequence[Pixels], test: Sequence[Pixels]) -> float:
    """Return the Fréchet distance between synthetic and real test images on the classifier's 32 features.

    It is Heusel's 2017 FID with the features of this classifier in place of Inception's: 0 for alike, without an upper
    bound. Its unit is the classifier's own, and it grows as samples get fewer: compare equal numbers of images, and
    read it as a multiple of :func:`frechet_cnn32_floor`.

    Warns
    -----
    UserWarning
        One of the sets has fewer than 320 images (10 a feature), so that its covariance is mostly noise.
    """
    if (fewest := min(len(synthetic), len(test))) < (wanted := _SAMPLES_A_FEATURE * FEATURES):
        warnings.warn(
            f"{fewest} images are few for a Fréchet distance on {FEATURES} features: take {wanted} or more.",
            stacklevel=2,
        )
    return frechet_distance(classifier.features(synthetic), classifier.features(test))


def frechet_cnn32_floor(classifier: Classifier, train: Sequence[Pixels], test: Sequence[Pixels], samples: int) -> float:
    """Return the distance that as many real images have: :func:`frechet_cnn32` of training images to the test images.

    Parameters
    ----------
    classifier : Classifier
        Trained on the training images.
    train, test : sequence of uint8 arrays (height, width, channels)
        The two real splits.
    samples : int
        Number of synthetic images that it is to be compared with; so many training images are taken, evenly spread
        over the split, or all where it has fewer.
    """
    chosen = np.linspace(0, len(train) - 1, min(samples, len(train))).round().astype(int)
    return frechet_cnn32(classifier, [train[index] for index in chosen], test)
