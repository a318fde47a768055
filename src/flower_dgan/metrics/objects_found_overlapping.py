"""Objects found, of those that share a pixel with another: as ``objects-found``."""

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.average_precision import ShareFound

METRIC = Metric("overlapping objects found", "instances", lambda _: ShareFound(overlapping=True))
