"""What nodes may send at all: the records and keys of their answers, which are all that a report lists."""

from collections.abc import Iterable, Mapping

from flower_dgan.wire.parameters import DISCRIMINATOR


def known_answers(parameters: Iterable[str] = ()) -> Mapping[str, frozenset[str]]:
    """Return the keys of each record that a node may send.

    Parameters
    ----------
    parameters : iterable of str
        Names of the parameters of the training's discriminator, which some algorithms send.
    """
    return {
        "node": frozenset(
            {
                "protocol-version",
                "name",
                "images",
                "channels",
                "classes",
                "queue",
                "token",
                "levels",
                "policy",
                "publish",
                "label-maps-hash",
            }
        ),
        "images": frozenset({"sizes"}),
        "label-maps": frozenset({"shapes", "data"}),
        "feedback": frozenset({"losses", "gradients", "scales"}),
        "metrics": frozenset({"discriminator-loss", "busy-seconds", "compute-seconds", "peak-memory-mib"}),
        "change": frozenset({"entries"}),
        "moments": frozenset({"mean", "covariance"}),
        "count": frozenset({"windows"}),
        "answer": frozenset({"protocol-version"}),
        "noisy-sum": frozenset({"steps"}),
        "sum-key": frozenset({"protocol-version", "offer"}),
        "masked-sum": frozenset({"words"}),
        "validation-score": frozenset({"hundredths"}),
        "leave": frozenset({"protocol-version", "training", "attempt"}),
        DISCRIMINATOR: frozenset(parameters),
    }
