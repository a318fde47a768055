"""F1: the harmonic mean of precision and recall of each class, then the mean of the classes, in [0, 1].

The "macro" mean: a rare class weighs as much as a frequent one, other than in the accuracy.
"""

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.class_mean import ClassMean
from flower_dgan.metrics.shared.f1_score import f1_score

METRIC = Metric("F1", "classes", lambda classes: ClassMean(classes, f1_score, first=0))
