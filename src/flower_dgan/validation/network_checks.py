"""Networks that do not work with the images or the condition that are set."""

from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError
from flower_dgan.networks.limits import check_discriminator, check_generator


def check_networks(config: TrainingConfig) -> None:
    """Raise ConfigError for a shipped network that cannot draw or judge the images; no network is built for that."""
    model, data = config.model, config.data
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
    checks = {
        f"generator={model.generator}": check_generator,
        f"discriminator={model.discriminator}": check_discriminator,
    }
    for setting, check in checks.items():
        try:
            check(model, data.image_size)
        except ValueError as error:
            raise ConfigError(f"model.{setting} with data.image_size={data.image_size}: {error}.") from error
