"""No figure is made of what is not finite: NaN would compare as the best value or as none, at random."""

from torch import Tensor

from flower_dgan.errors import NotFiniteError


def require_finite(values: Tensor, what: str) -> None:
    """Raise NotFiniteError if a tensor holds NaN or infinity.

    Parameters
    ----------
    values : float Tensor
        Of any shape.
    what : str
        What they are, in the plural, to begin a sentence with.
    """
    if odd := int((~values.isfinite()).sum()):
        raise NotFiniteError(
            f"{what} are not finite ({odd:,} of {values.numel():,} values), so that no figure of them means anything: "
            "a network has diverged."
        )
