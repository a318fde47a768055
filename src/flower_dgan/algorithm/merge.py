"""Merge rules: how much the feedback of each client weighs in the generator's gradient."""

from collections.abc import Sequence

from flower_dgan.config import MergeName


def client_weights(rule: MergeName, image_counts: Sequence[int]) -> tuple[float, ...]:
    """Return the weight of each client that answered; they sum to 1.

    Parameters
    ----------
    rule : {"samples", "equal"}
        ``samples``: pi_k = n_k / sum n (AsynDGAN, equation 1); ``equal``: 1 / K, as in its released code up to the
        factor K, which Adam does not see.
    image_counts : sequence of int
        Images n_k of each client, each at least 1.

    Raises
    ------
    ValueError
        If there is no client, or one without images.
    """
    if not image_counts or min(image_counts) < 1:
        raise ValueError(f"image counts {tuple(image_counts)}: at least one client, each with at least one image")
    if rule == "equal":
        return (1 / len(image_counts),) * len(image_counts)
    total = sum(image_counts)
    return tuple(count / total for count in image_counts)
