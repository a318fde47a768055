"""What crossed the wire, as records: arrays by client, the traffic of the rows of the table, releases with noise."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RecordCount:
    """One array of one record that crossed the wire, with its totals over the run.

    ``direction`` is "from node" or "to node"; ``shape`` is that of one message, as text.
    """

    site: str
    direction: str
    record: str
    key: str
    dtype: str
    shape: str
    messages: int
    bytes: int


@dataclass(frozen=True)
class Traffic:
    """What one client sent and received in one training of a row of the TSTR table other than ``DGAN``."""

    row: str
    site: str
    rounds: int
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True)
class NoisyRelease:
    """What a client released with noise: its epsilon and delta, and sigma in units of what a patient adds at most.

    Where it is part of a sum that the server cannot take apart: of how many ``honest_sites`` that is the noise, and its
    epsilon ``alone``, if all others tell what they sent.
    """

    site: str
    epsilon: float
    delta: float
    sigma: float
    alone: float | None = None
    honest_sites: int | None = None


@dataclass(frozen=True)
class PrivateSteps:
    """What steps of a client's private discriminator cost each of its patients, as the server knows it.

    Attributes
    ----------
    site : str
        The client's name.
    epsilon, delta : float
        What the whole training was planned to cost.
    sigma : float or None
        Noise of a step, in units of what a patient adds at most; None where the server has no accountant.
    share : float
        The probability with which a patient comes to a step.
    planned : int
        Steps of the whole training.
    done : int
        Steps of the bundles whose answers were used so far; a client may have left some of them out.
    spent : float or None
        The epsilon of these, at ``delta``.
    """

    site: str
    epsilon: float
    delta: float
    sigma: float | None
    share: float
    planned: int
    done: int
    spent: float | None
