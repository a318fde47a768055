"""Recall of Kynkäänniemi 2019: the share of real images that lie where synthetic ones do, how much is covered."""

from flower_dgan.metrics import ImageMetric
from flower_dgan.metrics.shared.neighbours import share_inside

METRIC = ImageMetric(lambda real, synthetic: share_inside(synthetic, real), wanted=lambda _: 100, best="highest")
