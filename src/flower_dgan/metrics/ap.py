"""AP: average precision of masks, as COCO has it, over IoU 0.5, 0.55, ... 0.95.

Lin et al. 2014; see :mod:`flower_dgan.metrics.shared.average_precision`. Of all images together, in [0, 1].
"""

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.average_precision import MOST, AveragePrecision

METRIC = Metric(f"AP (maxDets {MOST})", "instances", lambda _: AveragePrecision())
