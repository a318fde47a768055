"""On which data segmentation works, and what is said below its table."""

from collections.abc import Mapping
from types import MappingProxyType

from flower_dgan.config import DataConfig
from flower_dgan.errors import ConfigError

OBJECTS: Mapping[str, str] = MappingProxyType(
    {
        "instances": "True objects are those numbered in instances/, those of a prediction its connected components.",
        "components": "Objects are connected components, of the true masks as of the predicted ones.",
    }
)
"""What true objects were; runs of version 0.1 wrote the key down in place of the sentence."""


def check_condition(data: DataConfig) -> None:
    """Raise ConfigError if synthetic images are not drawn on masks."""
    if data.condition == "label-map":
        return
    another = ", or downstream=classification" if data.condition == "class" else ""
    raise ConfigError(
        f"data.condition={data.condition} leaves no masks to learn segmentation from: set downstream=none{another}."
    )


def objects_are(*, numbered: bool) -> str:
    """Say what the true objects are."""
    return OBJECTS["instances" if numbered else "components"]
