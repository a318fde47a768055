"""Settings of an algorithm that do not fit each other, or the rest of the settings."""

from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError


def check_algorithm(config: TrainingConfig) -> None:
    """Raise ConfigError for parts of an algorithm that do not fit each other, or the rest of the settings."""
    algorithm, exchange = config.algorithm, config.exchange
    if (algorithm.l1_weight or algorithm.perceptual_weight) and not config.allow_pixel_losses:
        raise ConfigError(
            "algorithm.l1_weight and algorithm.perceptual_weight let the server read real images. Set both to 0, or "
            "allow_pixel_losses=true for a simulation on data that are yours."
        )
    of_scores = algorithm.merges_scores
    if of_scores and (algorithm.shared_batches != 1 or algorithm.separate_batches):
        raise ConfigError(
            f"algorithm.merge={algorithm.merge} is about images that all clients judge: "
            "set algorithm.shared_batches=1 algorithm.separate_batches=false."
        )
    if algorithm.separate_batches and not algorithm.shared_batches:
        raise ConfigError("algorithm.separate_batches=true wants shared batches: set algorithm.shared_batches.")
    if algorithm.shared_batches and (algorithm.l1_weight or algorithm.perceptual_weight):
        raise ConfigError("Pixel losses want a real image for each synthetic one: set algorithm.shared_batches=0.")
    if algorithm.swap_interval and not (algorithm.shared_batches and exchange.in_flight == 1):
        raise ConfigError("algorithm.swap_interval wants algorithm.shared_batches, and exchange.in_flight=1.")
    if algorithm.upload != "none":
        _check_upload(config)
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
        if does and not config.schedule.is_synchronous:
            raise ConfigError(f"{what} wants schedule=synchronous, where a round waits for all that it asked.")
    if config.data.foreign_label_maps:
        _check_foreign_label_maps(config)


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
