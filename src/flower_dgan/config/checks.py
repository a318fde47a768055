"""Settings that contradict each other or are out of range, found before any work begins."""

from math import inf

from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import Config, TrainingConfig
from flower_dgan.config.channel_checks import check_channels
from flower_dgan.config.class_checks import check_classes
from flower_dgan.errors import ConfigError, unknown_name


def check_config(config: Config) -> None:
    """Raise ConfigError, with what to set instead, where settings contradict each other or are out of range."""
    output = config.output
    for name, number in (("sample_interval", output.sample_interval), ("synthetic_images", output.synthetic_images)):
        if number <= 0:
            raise ConfigError(f"output.{name}={number} must be positive.")
    if output.checkpoint_interval < 0:
        raise ConfigError(f"output.checkpoint_interval={output.checkpoint_interval} must not be negative.")
    check_training(config)


def check_training(config: TrainingConfig) -> None:
    """Raise ConfigError, as :func:`check_config` does, for what server and nodes agree on."""
    exchange, algorithm, data, model = config.exchange, config.algorithm, config.data, config.model
    positive = {
        "exchange.rounds": exchange.rounds,
        "exchange.exchanges": exchange.exchanges,
        "exchange.generator_steps": exchange.generator_steps,
        "exchange.batch_size": exchange.batch_size,
        "exchange.min_nodes": exchange.min_nodes,
        "exchange.timeout": exchange.timeout,
        "exchange.join_timeout": exchange.join_timeout,
        "algorithm.discriminator_steps": algorithm.discriminator_steps,
        "algorithm.generator_learning_rate": algorithm.generator_learning_rate,
        "algorithm.discriminator_learning_rate": algorithm.discriminator_learning_rate,
        "algorithm.generator_weight": algorithm.generator_weight,
        "algorithm.discriminator_weight": algorithm.discriminator_weight,
        "model.generator_width": model.generator_width,
        "model.discriminator_width": model.discriminator_width,
        "data.image_size": data.image_size,
    }
    for name, number in positive.items():
        if number <= 0:
            raise ConfigError(f"{name}={number} must be positive.")
    if config.threads is not None and config.threads < 1:
        raise ConfigError(f"threads={config.threads} must be positive, or null for torch's own choice.")
    if exchange.exchanges % exchange.generator_steps:
        raise ConfigError(
            f"exchange.exchanges={exchange.exchanges} cannot be shared by "
            f"exchange.generator_steps={exchange.generator_steps}: choose a divisor of {exchange.exchanges}."
        )
    if not 0.1 <= exchange.message_mb <= 2000:
        raise ConfigError(
            f"exchange.message_mb={exchange.message_mb} must be in 0.1 .. 2000: the largest message in 10^6 bytes."
        )
    schedule = config.schedule
    if not 0 < schedule.quorum <= 1:
        raise ConfigError(f"schedule.quorum={schedule.quorum} must be in (0, 1]: it is a share of the clients.")
    if schedule.deadline is not None and schedule.deadline <= 0:
        raise ConfigError(f"schedule.deadline={schedule.deadline} must be positive, or null for none.")
    if schedule.max_staleness < 0:
        raise ConfigError(f"schedule.max_staleness={schedule.max_staleness} must not be negative.")
    if exchange.in_flight > 1 and not schedule.is_synchronous:
        raise ConfigError("exchange.in_flight=2 wants schedule=synchronous: the other one does not wait anyway.")
    if not 0 <= algorithm.average_decay < 1:
        raise ConfigError(f"algorithm.average_decay={algorithm.average_decay} must be in [0, 1).")
    if config.downstream.seeds and data.condition != "label-map":
        raise ConfigError(
            f"data.condition={data.condition} leaves no masks to learn segmentation from: set downstream=none."
        )
    for key, network in (("generator", model.generator), ("discriminator", model.discriminator)):
        if network in ("mlp", "mlp-relu", "dcgan") and data.condition == "label-map":
            raise ConfigError(
                f"model.{key}={network} does not see label maps: set data.condition=class or none, and downstream=none."
            )
    if model.generator == "resnet9" and data.condition != "label-map":
        raise ConfigError(
            f"model.generator=resnet9 draws from label maps alone, and data.condition={data.condition} has constant "
            "ones: set model=mlp, dcgan or small."
        )
    if config.downstream.seeds and not config.downstream.metrics:
        raise ConfigError("downstream.metrics is empty: name at least one, such as dice, or set downstream=none.")
    _check_dist_fid(config)
    check_channels(config)
    check_classes(config.data)
    _check_partition(config)
    if not 0 < algorithm.largest_share <= 1:
        raise ConfigError(f"algorithm.largest_share={algorithm.largest_share} must be in (0, 1]: 1 is no bound.")
    algorithm_of(config).check(config)
    if data.target == "label-maps" and (data.condition != "none" or data.channels != 1):
        raise ConfigError(
            "data.target=label-maps draws label maps on nothing, in grey: set data.condition=none data.channels=1."
        )
    if data.target == "label-maps" and data.augmentation not in ("none", "flips"):
        raise ConfigError(
            f"data.augmentation={data.augmentation} makes colours between the 0 and 255 of label maps: set flips or "
            "none with data.target=label-maps."
        )
    if data.foreign_label_maps:
        _check_foreign_label_maps(config)
    rows = ("Real-All", "Real-k", "Untrained", "Local-k", "Syn-All", "DGAN", "FedGAN", "FedAvg")
    for row in config.downstream.rows:
        if row not in rows:
            raise ConfigError(unknown_name("row of downstream.rows", row, rows))


def _check_dist_fid(config: TrainingConfig) -> None:
    """Find what Dist-FID lacks: its feature network is the segmentation model of the row ``DGAN``."""
    downstream = config.downstream
    if downstream.dist_fid < 0:
        raise ConfigError(f"downstream.dist_fid={downstream.dist_fid} must not be negative: 0 is for none.")
    if downstream.dist_fid and (not downstream.seeds or "DGAN" not in downstream.rows):
        raise ConfigError(
            f"downstream.dist_fid={downstream.dist_fid} compares by the features of the segmentation model that is "
            "trained on the synthetic images: set another downstream than none, downstream.seeds=1 or more and the row "
            "DGAN in downstream.rows, or downstream.dist_fid=0."
        )


def _check_partition(config: TrainingConfig) -> None:
    """Find settings of the partition that it does not use, or that are out of range."""
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
        if chosen.name == kind and isinstance(value, int | float) and not 0 < value < inf:
            raise ConfigError(f"partition.{name}={value} must be positive and finite.")
    if chosen.name == "csv" and chosen.file is None:
        raise ConfigError("partition=csv needs a file: set partition.file to its absolute path.")
    if chosen.name == "foreground" and config.data.condition != "label-map":
        raise ConfigError(
            f"partition=foreground looks at masks, and data.condition={config.data.condition} leaves none: set "
            "data.condition=label-map, or another partition."
        )


def _check_foreign_label_maps(config: TrainingConfig) -> None:
    """Find what does not work where no client's label maps leave it."""
    what = f"data.label_maps={config.data.label_maps}"
    if config.data.condition != "label-map":
        raise ConfigError(
            f"{what} is a folder to draw from, and data.condition={config.data.condition} draws from no label map: set "
            "data.condition=label-map, or data.label_maps=clients."
        )
