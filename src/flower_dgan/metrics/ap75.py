"""AP75: average precision of masks, as COCO has it, at IoU 0.75.

Lin et al. 2014; see :mod:`flower_dgan.metrics.shared.average_precision`. Of all images together, in [0, 1].
"""

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.average_precision import MOST, AveragePrecision

METRIC = Metric(f"AP75 (maxDets {MOST})", "instances", lambda _: AveragePrecision((0.75,)))
