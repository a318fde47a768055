"""Settings of validation and of the choice of a generator that contradict each other or the rest."""

from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError


def check_selection(config: TrainingConfig) -> None:
    """Raise ConfigError where a choice has nothing to choose by or from, or images are held out for nothing."""
    selection, downstream = config.selection, config.downstream
    if selection.take == "best" and not selection.checks:
        raise ConfigError(
            "selection.take=best chooses among the generators of the checks, and selection.checks=0 makes none: set "
            "selection=best, or selection.take=last."
        )
    if selection.checks and not selection.validation_fraction:
        raise ConfigError(
            f"selection.checks={selection.checks} scores generators by images that nobody learned from, and "
            "selection.validation_fraction=0 holds none out: set selection=best, or selection.checks=0."
        )
    if selection.checks and not downstream.rows:  # downstream=none
        raise ConfigError(
            f"selection.checks={selection.checks} trains the model of downstream on the images of each generator, and "
            "there is none to train: set downstream=images, and downstream.seeds=0 for no table."
        )
    if selection.validation_fraction and not (selection.checks or downstream.seeds):
        raise ConfigError(
            f"selection.validation_fraction={selection.validation_fraction:g} takes images out of the training, and "
            "nothing asks for them: set it to 0, or selection=best."
        )
