"""Settings that contradict each other, found before any work begins; ranges are those of ``flower_dgan.config``."""

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError, RangeError, unknown_name
from flower_dgan.tasks import check_downstream
from flower_dgan.validation.channel_checks import check_channels
from flower_dgan.validation.class_checks import check_classes
from flower_dgan.validation.network_checks import check_networks
from flower_dgan.validation.selection_checks import check_selection

_ROWS = (
    "Real-All",
    "Real-k",
    "Real-k+DGAN",
    "Real-k+FedGAN",
    "Untrained",
    "Local-k",
    "Syn-All",
    "DGAN",
    "FedGAN",
    "FedGAN-equal-bytes",
    "FedAvg",
    "FedAvg-equal-bytes",
)


def check_training(config: TrainingConfig) -> None:
    """Raise ConfigError, with what to set instead, where settings contradict each other."""
    exchange = config.exchange
    if exchange.exchanges % exchange.generator_steps:
        raise ConfigError(
            f"exchange.exchanges={exchange.exchanges} cannot be shared by "
            f"exchange.generator_steps={exchange.generator_steps}: choose a divisor of {exchange.exchanges}."
        )
    if exchange.in_flight > 1 and not config.schedule.is_synchronous:
        raise ConfigError("exchange.in_flight=2 wants schedule=synchronous: the other one does not wait anyway.")
    _check_downstream(config)
    check_selection(config)
    check_networks(config)
    check_channels(config)
    check_classes(config.data)
    _check_partition(config)
    algorithm_of(config).check(config)
    _check_target(config)


def _check_downstream(config: TrainingConfig) -> None:
    """Find what the table of the task lacks; Dist-FID's feature network is the model of its row ``DGAN``."""
    downstream = config.downstream
    check_downstream(config)
    if downstream.dist_fid and (not downstream.seeds or "DGAN" not in downstream.rows):
        raise ConfigError(
            f"downstream.dist_fid={downstream.dist_fid} compares by the features of the model that is "
            "trained on the synthetic images: set another downstream than none, downstream.seeds=1 or more and the row "
            "DGAN in downstream.rows, or downstream.dist_fid=0."
        )
    if downstream.member_folds == 1:
        raise RangeError("downstream.member_folds=1 holds all patients out at once: set 2 or more, or 0 for none.")
    asked = downstream.member_folds or downstream.member_sizes or downstream.synthetic_times
    if asked and not downstream.seeds:
        raise ConfigError(
            "downstream.member_folds, member_sizes and synthetic_times are trainings of a table, and "
            "downstream.seeds=0 is none: set another downstream than none, or leave them out."
        )
    if downstream.member_sizes and not {"Real-k", "Real-k+DGAN"} <= {*downstream.rows}:
        raise ConfigError(
            "downstream.member_sizes tries fewer images than the rows Real-k and Real-k+DGAN have: name both in "
            "downstream.rows, too."
        )
    for row in downstream.rows:
        if row not in _ROWS:
            raise ConfigError(unknown_name("row of downstream.rows", row, _ROWS))


def _check_partition(config: TrainingConfig) -> None:
    """Find settings of the partition that it does not use, or lacks."""
    chosen = config.partition
    of_kind = {
        "label_groups": "label",
        "shards_per_client": "shards",
        "alpha": "dirichlet",
        "min_pairs": "dirichlet",
        "classes_per_client": "pathological",
        "exponent": "size",
        "file": "csv",
    }
    for name, kind in of_kind.items():
        value = getattr(chosen, name)
        if chosen.name != kind and value:
            raise ConfigError(
                f"partition.{name} is a setting of partition={kind}, and not of partition={chosen.name}: "
                f"set partition={kind}, or leave it out."
            )
        if chosen.name == kind and value == 0:
            raise RangeError(f"partition.{name}={value} must be positive.")
    if chosen.name == "csv" and chosen.file is None:
        raise ConfigError("partition=csv needs a file: set partition.file to its absolute path.")
    if chosen.name == "foreground" and config.data.condition != "label-map":
        raise ConfigError(
            f"partition=foreground looks at masks, and data.condition={config.data.condition} leaves none: set "
            "data.condition=label-map, or another partition."
        )


def _check_target(config: TrainingConfig) -> None:
    """Find what label maps cannot be drawn with, or from."""
    data = config.data
    if not data.counts_leave and not algorithm_of(config).releases.by_noise:
        raise ConfigError(
            f"data.label_maps={data.label_maps} is for algorithms whose clients answer with noise, and "
            f"algorithm={config.algorithm.name} has none: set privacy=moments or privacy=dp-sgd, which choose their "
            "own, or data.label_maps=clients."
        )
    if data.foreign_label_maps and data.condition != "label-map":
        raise ConfigError(
            f"data.label_maps={data.label_maps} is a folder to draw from, and data.condition={data.condition} draws "
            "from no label map: set data.condition=label-map, or data.label_maps=clients."
        )
    if data.target == "label-maps" and (data.condition != "none" or data.channels != 1):
        raise ConfigError(
            "data.target=label-maps draws label maps on nothing, in grey: set data.condition=none data.channels=1."
        )
    if data.target == "label-maps" and data.augmentation not in ("none", "flips"):
        raise ConfigError(
            f"data.augmentation={data.augmentation} makes colours between the 0 and 255 of label maps: set flips or "
            "none with data.target=label-maps."
        )
