"""Settings that contradict each other or are out of range, found before any work begins."""

from math import inf

from flower_dgan.config import Config, TrainingConfig
from flower_dgan.config.channel_checks import check_channels
from flower_dgan.config.class_checks import check_classes
from flower_dgan.errors import ConfigError, unknown_name
from flower_dgan.gan.schedule import is_synchronous
from flower_dgan.gan.scores import merges_scores


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
    if exchange.in_flight > 1 and not is_synchronous(schedule):
        raise ConfigError("exchange.in_flight=2 wants schedule=synchronous: the other one does not wait anyway.")
    if not 0 <= algorithm.average_decay < 1:
        raise ConfigError(f"algorithm.average_decay={algorithm.average_decay} must be in [0, 1).")
    if (algorithm.l1_weight or algorithm.perceptual_weight) and not config.allow_pixel_losses:
        raise ConfigError(
            "algorithm.l1_weight and algorithm.perceptual_weight let the server read real images. Set both to 0, or "
            "allow_pixel_losses=true for a simulation on data that are yours."
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
    _check_dist_fid(config)
    check_channels(config)
    check_classes(config.data)
    _check_partition(config)
    _check_algorithm(config)
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
    """Find what Dist-FID lacks: its feature network is the model of the row ``DGAN``."""
    downstream = config.downstream
    if downstream.dist_fid < 0:
        raise ConfigError(f"downstream.dist_fid={downstream.dist_fid} must not be negative: 0 is for none.")
    if downstream.dist_fid and (not downstream.seeds or "DGAN" not in downstream.rows):
        raise ConfigError(
            f"downstream.dist_fid={downstream.dist_fid} compares by the features of the model that is "
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


def _check_algorithm(config: TrainingConfig) -> None:
    """Find parts of an algorithm that do not fit each other."""
    algorithm, exchange = config.algorithm, config.exchange
    of_scores = merges_scores(algorithm.merge)
    if algorithm.shared_batches < 0:
        raise ConfigError(f"algorithm.shared_batches={algorithm.shared_batches} must not be negative.")
    if not 0 < algorithm.largest_share <= 1:
        raise ConfigError(f"algorithm.largest_share={algorithm.largest_share} must be in (0, 1]: 1 is no bound.")
    if algorithm.sharpness < 0:
        raise ConfigError(f"algorithm.sharpness={algorithm.sharpness} must not be negative: 0 makes a mean.")
    if of_scores and (algorithm.shared_batches != 1 or algorithm.separate_batches):
        raise ConfigError(
            f"algorithm.merge={algorithm.merge} is about images that all clients judge: "
            "set algorithm.shared_batches=1 algorithm.separate_batches=false."
        )
    if algorithm.separate_batches and not algorithm.shared_batches:
        raise ConfigError("algorithm.separate_batches=true wants shared batches: set algorithm.shared_batches.")
    if algorithm.shared_batches and (algorithm.l1_weight or algorithm.perceptual_weight):
        raise ConfigError("Pixel losses want a real image for each synthetic one: set algorithm.shared_batches=0.")
    if algorithm.swap_interval < 0:
        raise ConfigError(f"algorithm.swap_interval={algorithm.swap_interval} must not be negative: 0 is never.")
    if algorithm.swap_interval and not (algorithm.shared_batches and exchange.in_flight == 1):
        raise ConfigError("algorithm.swap_interval wants algorithm.shared_batches, and exchange.in_flight=1.")
    if algorithm.upload != "none":
        _check_upload(config)
    reminding = (algorithm.reminding_l1_weight, algorithm.reminding_perceptual_weight)
    if min(reminding) < 0:
        raise ConfigError(f"The weights of algorithm.reminding_... are {reminding}: they must not be negative.")
    if algorithm.previous is not None and config.model.sites_fixed_by:
        raise ConfigError(
            "algorithm.previous wants model.site_condition=false and a model.generator that is no fusion: the sites of "
            "the next task are not those of this one."
        )
    if algorithm.merge == "agreement" and config.model.fuses:
        raise ConfigError(
            "algorithm.merge=agreement compares the clients' gradients, and with "
            f"model.generator={config.model.generator} those are about sub-generators of their own: set "
            "algorithm.merge=samples or equal."
        )
    if algorithm.turns == "one-by-one" and (exchange.in_flight > 1 or algorithm.shared_batches):
        raise ConfigError("algorithm.turns=one-by-one wants exchange.in_flight=1 algorithm.shared_batches=0.")
    waits = {
        f"algorithm.merge={algorithm.merge}": of_scores,
        "algorithm.turns=one-by-one": algorithm.turns == "one-by-one",
        "algorithm.swap_interval": algorithm.swap_interval > 0,
        f"algorithm.upload={algorithm.upload}": algorithm.upload != "none",
    }
    for what, does in waits.items():
        if does and not is_synchronous(config.schedule):
            raise ConfigError(f"{what} wants schedule=synchronous, where a round waits for all that it asked.")


def _check_foreign_label_maps(config: TrainingConfig) -> None:
    """Find what does not work where no client's label maps leave it."""
    algorithm, what = config.algorithm, f"data.label_maps={config.data.label_maps}"
    if config.data.condition != "label-map":
        raise ConfigError(
            f"{what} is a folder to draw from, and data.condition={config.data.condition} draws from no label map: set "
            "data.condition=label-map, or data.label_maps=clients."
        )
    if algorithm.l1_weight or algorithm.perceptual_weight:
        raise ConfigError(
            f"Pixel losses want a real image for each synthetic one, and there is none for the label maps of {what}: "
            "set algorithm.l1_weight=0 algorithm.perceptual_weight=0."
        )
    if algorithm.merge == "odds-by-class":
        raise ConfigError(
            "algorithm.merge=odds-by-class counts the classes in the clients' label maps, which stay with them where "
            f"{what}: set algorithm.merge=odds."
        )


def _check_upload(config: TrainingConfig) -> None:
    """Find what does not fit Distributed-GAN's approach 1, in which clients upload changes instead of feedback."""
    algorithm, what = config.algorithm, f"algorithm.upload={config.algorithm.upload}"
    if algorithm.shared_batches != 1 or algorithm.separate_batches:
        raise ConfigError(
            f"{what} trains all clients on the same images: set algorithm.shared_batches=1 "
            "algorithm.separate_batches=false."
        )
    if algorithm.merge not in ("equal", "samples"):
        raise ConfigError(f"{what} has no feedback for algorithm.merge={algorithm.merge} to merge: set equal.")
    if algorithm.swap_interval:
        raise ConfigError(f"{what} trains the server's discriminator, which nobody swaps: algorithm.swap_interval=0.")
    if config.exchange.in_flight != 1:
        raise ConfigError(f"{what} sends the discriminator that the last round made: set exchange.in_flight=1.")
    if not 0 < algorithm.upload_share <= 1:
        raise ConfigError(f"algorithm.upload_share={algorithm.upload_share} must be in (0, 1].")
    if algorithm.upload_threshold < 0:
        raise ConfigError(f"algorithm.upload_threshold={algorithm.upload_threshold} must not be negative.")
