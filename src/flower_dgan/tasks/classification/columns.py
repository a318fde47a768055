"""On which data classification works."""

from flower_dgan.config import TrainingConfig
from flower_dgan.errors import ConfigError

ENCODER = "cnn"


def check_settings(config: TrainingConfig) -> None:
    """Raise ConfigError if synthetic images are not drawn for a class, or another model is set than the CNN."""
    data, downstream = config.data, config.downstream
    if data.condition != "class":
        raise ConfigError(
            f"data.condition={data.condition} leaves synthetic images without a class to learn: "
            "set data.condition=class where the data have classes of whole images, or another downstream."
        )
    if downstream.encoder != ENCODER or downstream.encoder_weights is not None:
        raise ConfigError(
            f"Classification has a small CNN of its own, and downstream.encoder={downstream.encoder} with "
            f"encoder_weights={downstream.encoder_weights}: set downstream=classification, or "
            f"downstream.encoder={ENCODER} downstream.encoder_weights=null."
        )
