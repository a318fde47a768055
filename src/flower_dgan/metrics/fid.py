"""FID: the squared Fréchet distance of the Gaussians with the mean and covariance of the features; 0 for alike.

Heusel 2017, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium". It is biased upwards
by few samples; with no more samples than features a covariance is singular.
"""

from flower_dgan.metrics import ImageMetric
from flower_dgan.metrics.shared.feature_moments import frechet_distance

METRIC = ImageMetric(frechet_distance, wanted=lambda features: features + 1, best="lowest")
