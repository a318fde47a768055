"""What is written down before the first round: what a reader of the events has to know of a training."""

from importlib.metadata import version

from flower_dgan.config import Config
from flower_dgan.federation.alarm_log import AlarmLog
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.networks.build import ImageShape
from flower_dgan.run.alarms import UNDECIDED
from flower_dgan.run.member_records import REFUSED, Change
from flower_dgan.run.pulse import HEARTBEAT
from flower_dgan.run.status_records import Begin, Classes
from flower_dgan.synthesis import class_colours


def announce(directory: RunDirectory, config: Config, done: int, last_seen: float | None) -> None:
    """Write down that an attempt at a training begins, and watch from then on what goes wrong in it.

    Parameters
    ----------
    directory : RunDirectory
        That of the run.
    config : Config
        Its configuration.
    done : int
        Rounds after which it goes on.
    last_seen : float or None
        When the attempt before wrote its last line.
    """
    AlarmLog(directory.events)
    directory.events.write(begin_of(config, directory.training.attempt, done, last_seen))


def begin_of(config: Config, attempt: int, done: int, last_seen: float | None) -> Begin:
    """Return what is written down of an attempt with these settings; parameters as for :func:`announce`."""
    algorithm = config.algorithm
    undecided = UNDECIDED[algorithm.loss]
    return Begin(
        attempt=attempt,
        version=version("flower-dgan"),
        rounds=config.exchange.rounds,
        done=done,
        algorithm=algorithm.name,
        loss=algorithm.loss,
        replay=algorithm.replay,
        target=config.data.target,
        undecided=None if undecided is None else undecided * algorithm.discriminator_weight,
        gradient_penalty=algorithm.gradient_penalty,
        noise_channels=config.model.noise_channels,
        sample_interval=config.output.sample_interval,
        heartbeat=HEARTBEAT,
        last_seen=last_seen,
    )


def announce_classes(directory: RunDirectory, config: Config, shape: ImageShape) -> None:
    """Write down what the classes are called, and their colours; those that no setting names have their numbers."""
    names, data = config.data.class_names, config.data
    given = names if len(names) == shape.classes else ()
    shown = tuple(given) or tuple(f"class {each}" for each in range(shape.classes))
    directory.events.write(Classes(shown, class_colours(shape.classes, data.class_colours)))


def refused(directory: RunDirectory, who: str, why: str) -> None:
    """Write down that a node does not take part in a training that is about to begin."""
    directory.events.write(Change(who, f"does not take part: {why}", 0, REFUSED))
