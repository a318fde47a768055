"""Objects found: the share of the true ones, of all images together, that a predicted one fits at IoU above 0.5."""

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.average_precision import ShareFound

METRIC = Metric("objects found", "instances", lambda _: ShareFound())
