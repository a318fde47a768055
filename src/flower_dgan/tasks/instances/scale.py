"""How large the objects are that a model of instances learned, which says whether they are long or round, too."""

from dataclasses import dataclass

_ROUND = 2.5  # half widths of length; a line that is shorter is no reason to take an object for round
LEAST_LONG = 3.0
"""Half widths that a long object is taken to be long, at least."""


@dataclass(frozen=True)
class Scale:
    """How large objects are.

    Attributes
    ----------
    length : float
        Of the centre line, in pixels; the median. Of round objects the diameter.
    half_width : float
        From it to the outline, in pixels; the median. Of round objects the radius.
    """

    length: float
    half_width: float

    @property
    def is_round(self) -> bool:
        """Whether objects are told by their middles, and not by their lines."""
        return self.length < _ROUND * self.half_width
