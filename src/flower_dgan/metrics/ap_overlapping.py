"""AP of objects that overlap: as ``ap``, where those that share no pixel with another are taken for crowds.

Whoever finds one of the others is neither right nor wrong. See :mod:`flower_dgan.metrics.shared.average_precision`.
"""

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.average_precision import MOST, AveragePrecision

METRIC = Metric(f"overlapping AP (maxDets {MOST})", "instances", lambda _: AveragePrecision(overlapping=True))
