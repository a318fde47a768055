"""AP_dsb at IoU 0.8: hits over hits, false and missed ones, the mean over images; no scores are in it.

Caicedo et al. 2019; see :mod:`flower_dgan.metrics.shared.average_precision`. It is no average precision of COCO.
"""

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.average_precision import SharePerImage

METRIC = Metric("AP_dsb at 0.8", "instances", lambda _: SharePerImage(0.8))
