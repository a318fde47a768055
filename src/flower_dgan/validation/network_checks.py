"""Networks that do not work with the images, the condition or the loss that are set."""

from flower_dgan.config import TrainingConfig
from flower_dgan.config.import_path import is_import_path
from flower_dgan.errors import ConfigError
from flower_dgan.networks.limits import check_discriminator, check_generator


def check_networks(config: TrainingConfig) -> None:
    """Raise ConfigError for a shipped network that cannot draw or judge the images; no network is built for that.

    Also for one that is no critic: the loss of Arjovsky 2017 ("Wasserstein GAN", section 3) wants a Lipschitz one, and
    falls without end where the discriminator's output may grow. A network of the user's own is taken to be one.
    """
    model, data = config.model, config.data
    for key, network in (("generator", model.generator), ("discriminator", model.discriminator)):
        if network in ("mlp", "mlp-relu", "mlp-by-class", "dcgan") and data.condition == "label-map":
            raise ConfigError(
                f"model.{key}={network} does not see label maps: set data.condition=class or none, and downstream=none."
            )
    if model.generator == "resnet9" and data.condition != "label-map":
        raise ConfigError(
            f"model.generator=resnet9 draws from label maps alone, and data.condition={data.condition} has constant "
            "ones: set model=mlp, dcgan or small."
        )
    if config.algorithm.loss == "wasserstein" and not is_import_path(model.discriminator):
        raise ConfigError(
            "algorithm.loss=wasserstein is a distance only where the slope of the discriminator is bounded, and "
            f"nothing bounds that of model.discriminator={model.discriminator}: set algorithm.loss=hinge, or a "
            "model.discriminator of your own whose layers are, as by torch.nn.utils.parametrizations.spectral_norm."
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
