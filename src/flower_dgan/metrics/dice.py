"""Dice: twice the common pixels over the true and the predicted ones.

Dice 1945, "Measures of the amount of ecologic association between species". Pixels of all windows are counted together,
so that it is the F1 score of the pixels and no mean over images; then the mean of the foreground classes, in [0, 1].
"""

from flower_dgan.metrics import Metric
from flower_dgan.metrics.shared.class_mean import ClassMean
from flower_dgan.metrics.shared.f1_score import f1_score

METRIC = Metric("Dice", "masks", lambda classes: ClassMean(classes, f1_score, first=1))
