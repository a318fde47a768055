"""The ranges of settings, as types for ``Annotated`` fields; :mod:`flower_dgan.config.read` holds values against them.

No float is nan, and none is infinite but where its type says so. Numbers end where nobody means them: what is beyond
would fail hours later, for want of memory, as no clock waits so long, or as a loss is not finite any more.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval, MinLen
from pydantic import AllowInfNan, StringConstraints


@dataclass(frozen=True)
class Because:
    """What the limits of a setting mean, for the message; behind a range in ``Annotated``.

    Attributes
    ----------
    reason : str
        A few words, such as ``"0 is never"``.
    """

    reason: str


Seed = Annotated[int, Interval(ge=0, le=2**63 - 1)]
Steps = Annotated[int, Interval(ge=1, le=10**9)]
"""How often something is done, or how many there are."""
Count = Annotated[int, Interval(ge=0, le=10**9)]
"""Also none at all, or never."""
Passes = Annotated[int, Interval(ge=1, le=64)]
"""How often a client goes through a bundle: of its time, and of its images, a message may not take more."""
Size = Annotated[int, Interval(ge=1, le=65_536)]
"""Of something that is in memory as a whole, such as a batch or a layer."""
SizeOrNone = Annotated[int, Interval(ge=0, le=65_536)]
Side = Annotated[int, Interval(ge=1, le=32_767), Because("a view says where it lies in 16 bits")]
"""Of an image, in pixels."""

Positive = Annotated[float, Interval(gt=0, le=1e9)]
NonNegative = Annotated[float, Interval(ge=0, le=1e9)]
NonNegativeOrInfinite = Annotated[float, Interval(ge=0), AllowInfNan(True)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
PositiveFraction = Annotated[float, Interval(gt=0, le=1)]
ProperFraction = Annotated[float, Interval(gt=0, lt=1)]
Decay = Annotated[float, Interval(ge=0, lt=1)]
"""Factor of what there was before, in an average that moves."""
Seconds = Annotated[float, Interval(gt=0, le=1e9)]
SecondsOrNone = Annotated[float, Interval(ge=0, le=1e9)]

Text = Annotated[str, MinLen(1)]
"""That is not empty, such as a name or a path."""
DeviceName = Annotated[
    str,
    StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d{1,4})?)$"),
    Because("auto, cpu, cuda, cuda:<number> or mps"),
]
"""Of a device that networks compute on; whether it is there is another question."""
