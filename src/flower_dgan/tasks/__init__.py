"""What synthetic images are for: each task is a folder here, found by its name, and nothing else lists tasks.

The folder of a task has, in its ``__init__.py``, the ``TASK``: a :class:`~flower_dgan.tasks.task.Task`, which says on
which data it works (``columns.py``), how a model is trained on pairs (``fit.py``), and what a trained one predicts of
real pairs (``predict.py``). What the predictions are worth say the :mod:`~flower_dgan.metrics`; rows, seeds, tables and
sweeps are the same for all tasks.
"""

import importlib
import pkgutil

from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.metrics import Metric, find_metric, metric_names
from flower_dgan.tasks.task import Task


def find_task(name: str) -> Task:
    """Return the task of a name; raises ConfigError, which names those that there are, if it is unknown."""
    known = [found.name for found in pkgutil.iter_modules(__path__) if found.ispkg]
    if name not in known:
        raise ConfigError(unknown_name("downstream.task", name, known))
    task: Task = importlib.import_module(f"{__name__}.{name}").TASK
    return task


def check_downstream(config: TrainingConfig) -> None:
    """Find what is wrong with task and metrics from the settings alone, without anything that takes long to import.

    Raises
    ------
    ConfigError
        A name is unknown, or a table or a check is wanted that the task cannot make of these data or with these
        settings.
    """
    downstream = config.downstream
    task = find_task(downstream.task)
    metrics = {name: find_metric(name, Metric) for name in downstream.metrics}
    if not (downstream.seeds or config.selection.checks):
        return
    if not metrics:
        raise ConfigError(f"downstream.metrics is empty: name one of {_suited(task)}, or set downstream=none.")
    for name, metric in metrics.items():
        if metric.compares not in task.compares:
            raise ConfigError(
                f"downstream.metrics has {name}, which compares {metric.compares}, and downstream.task="
                f"{downstream.task} predicts {' and '.join(task.compares)}: choose among {_suited(task)}."
            )
    task.check(config)
    if downstream.dist_fid and not task.has_encoder:
        raise ConfigError(
            f"downstream.dist_fid={downstream.dist_fid} compares by the encoder of the model that is trained on the "
            f"synthetic images, and that of downstream.task={downstream.task} has none: set downstream.dist_fid=0."
        )


def _suited(task: Task) -> str:
    return ", ".join(name for name in metric_names(Metric) if find_metric(name, Metric).compares in task.compares)
