"""What nodes may send at all: the records and keys of their answers, which are all that a report lists."""

from collections.abc import Mapping
from types import MappingProxyType

from flower_dgan.wire.parameters import DISCRIMINATOR

ANSWERS: Mapping[str, frozenset[str] | None] = MappingProxyType(
    {
        "node": frozenset(
            {"protocol-version", "name", "images", "channels", "classes", "queue", "token", "label-maps-hash"}
        ),
        "images": frozenset({"sizes"}),
        "label-maps": frozenset({"shapes", "data"}),
        "feedback": frozenset({"losses", "gradients", "scales"}),
        "metrics": frozenset({"discriminator-loss", "busy-seconds", "compute-seconds", "peak-memory-mib"}),
        "change": frozenset({"entries"}),
        "moments": frozenset({"mean", "covariance"}),
        "count": frozenset({"windows"}),
        "leave": frozenset({"protocol-version", "training", "attempt"}),
        DISCRIMINATOR: None,
    }
)
"""Keys by record; None where they are the names of the parameters of a network."""
