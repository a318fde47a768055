"""Precision of Kynkäänniemi 2019: the share of synthetic images that lie where real ones do, how real they look."""

from flower_dgan.metrics import ImageMetric
from flower_dgan.metrics.shared.neighbours import share_inside

METRIC = ImageMetric(share_inside, wanted=lambda _: 100, best="highest")
