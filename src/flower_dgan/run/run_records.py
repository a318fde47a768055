"""What a run measures, as typed records; how it stands is in ``status_records``."""

from collections.abc import Mapping
from dataclasses import dataclass

from flower_dgan.tasks.patient_scores import PatientScore
from flower_dgan.tasks.results import TstrResult


@dataclass(frozen=True)
class Join:
    """A client that joined, and what it said it has.

    Attributes
    ----------
    site, node_id : str
        Its name, and the id of its node.
    images : int
        Its number of real images.
    channels : str
        Which channels these have.
    mean, deviation : tuple of int
        Of each channel of these images, in grey levels; none where ``model.levels`` does not ask for them.
    policy : str
        Under which policy its node said that it takes part: a preset's name, ``own rules`` of its owner's, or
        ``no owner``; empty in runs of earlier versions.
    """

    site: str
    node_id: str
    images: int
    channels: str
    mean: tuple[int, ...] = ()
    deviation: tuple[int, ...] = ()
    policy: str = ""


CAME, CAME_BACK, MOVED, REFUSED, LEFT_OUT, AWAY = "came", "came back", "moved", "refused", "left out", "away"
"""Changes of membership: a new client; one that answers again; one that another node is now; a node that does not take
part; a client that is not asked any more; one whose node is not connected."""


@dataclass(frozen=True)
class Change:
    """A change of membership.

    Attributes
    ----------
    who : str
        The client's name, or the node where it has none.
    what : str
        What happened, in words.
    round : int
        After which round; 0 is the join.
    change : str
        One of ``came``, ``came back``, ``moved``, ``refused``, ``left out``, ``away``; empty in runs of earlier
        versions.
    """

    who: str
    what: str
    round: int
    change: str = ""


@dataclass(frozen=True)
class Where:
    """On which device the networks of ``who`` were in an attempt at a training, and that device in words."""

    who: str
    device: str
    what: str
    attempt: int


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


FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"


@dataclass(frozen=True)
class End:
    """How an attempt at a training ended: ``finished``, ``failed`` or ``stopped``, and why, in one line."""

    how: str
    why: str
    attempt: int


@dataclass(frozen=True)
class Alarm:
    """Something that goes wrong in a training, as it begins or as it ends.

    Attributes
    ----------
    name : str
        What, see ``flower_dgan.federation.alarms``.
    site : str
        Of which client.
    since : int
        The first round of which it is true; the same in both lines.
    round : int
        When it was said, or from when on it is no longer true.
    begins : bool
        Whether it begins.
    figure : float
        What the rule looked at.
    said : str
        That figure in words.
    help_by : str
        What may help; empty where it ends.
    """

    name: str
    site: str
    since: int
    round: int
    begins: bool
    figure: float
    said: str
    help_by: str = ""

    @property
    def in_words(self) -> str:
        """All of it in one line."""
        where = f" at {self.site}" if self.site else ""
        if self.begins:
            return f"{self.name}{where} since round {self.since}: {self.said}. What may help: {self.help_by}."
        return f"{self.name}{where} since round {self.since} is over in round {self.round}: {self.said}."


@dataclass(frozen=True)
class ClientRound:
    """What one client did in one round.

    Attributes
    ----------
    discriminator_loss, generator_loss : float
        Means over the bundle.
    busy_seconds, compute_seconds : float
        Time that the client spent on the message, and the part of it that was the discriminator's.
    bytes_sent, bytes_received : int
        As the client sees them.
    rounds_late : int
        Rounds between sending the bundle and using its feedback.
    weight : float
        Its weight in the generator's gradient.
    bounded : int
        Samples or uploads that were scaled down as they were beyond what is usual.
    capped : bool
        Whether its weight was lowered to the largest share.
    arrived_seconds : float or None
        From when the server began to wait to when the answer was there.
    sendings : int
        How often the message was sent before it was answered.
    score, score_spread : float or None
        Mean and standard deviation, over the bundle, of the score that the client's discriminator gives synthetic
        images, as its loss implies it: a logit for binary cross-entropy. None where a loss does not say.
    feedback_length : float or None
        Mean length of the gradient of a sample; None where no feedback travels.
    feedback_direction : float or None
        Cosine, from -1 to 1, of its mean gradient with that of the other clients; None where nothing is comparable.
    feedback_follows : float or None
        How far its gradients follow the label maps as those of the others do, see
        ``flower_dgan.federation.answer_figures``; near 0 they do not. None where nothing is comparable.
    peak_memory_mib : float or None
        Largest resident memory of the client's process so far, as its node said.
    """

    discriminator_loss: float
    generator_loss: float
    busy_seconds: float
    compute_seconds: float
    bytes_sent: int
    bytes_received: int
    rounds_late: int
    weight: float
    bounded: int = 0
    capped: bool = False
    arrived_seconds: float | None = None
    sendings: int = 1
    score: float | None = None
    score_spread: float | None = None
    feedback_length: float | None = None
    feedback_direction: float | None = None
    feedback_follows: float | None = None
    peak_memory_mib: float | None = None


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes
    ----------
    round : int
        Its number.
    seconds : Mapping[str, float]
        Wall-clock seconds by what they were spent on.
    images : int
        Synthetic images that fed the generator's steps.
    clients : Mapping[str, ClientRound]
        By site; the clients whose reply was used.
    rejected : Mapping[str, str]
        By site; why the reply was not used.
    staleness : int
        Generator steps between drawing the images and using their feedback.
    late : tuple of str
        Sites that were still at work when the round ended.
    repeats : Mapping[str, int]
        By site; messages that were sent again, as there was no reply.
    bounded_together : int
        Samples that were scaled down after the scores of all had been merged.
    attempt : int
        Which attempt at the training did it.
    """

    round: int
    seconds: Mapping[str, float]
    images: int
    clients: Mapping[str, ClientRound]
    rejected: Mapping[str, str]
    staleness: int
    late: tuple[str, ...]
    repeats: Mapping[str, int]
    bounded_together: int = 0
    attempt: int = 1


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
class Distance:
    """The Fréchet distance of the real images of a site, or of all sites together, to others.

    ``windows`` are the real ones of the site, ``images`` the synthetic or other ones (``compared``); where either is
    less than ``wanted`` the distance means little.
    """

    metric: str
    site: str
    windows: int
    compared: str
    images: int
    distance: float
    wanted: int

    @property
    def means_little(self) -> bool:
        """Whether there are too few samples."""
        return min(self.windows, self.images) < self.wanted


@dataclass(frozen=True)
class MissingMoments:
    """A site that Dist-FID does without, and why."""

    site: str
    reason: str


@dataclass(frozen=True)
class Validation:
    """What the nodes' validation images say of the generator at the end of a round.

    Attributes
    ----------
    round : int
        The round.
    metric : str
        What the scores are.
    score : float or None
        Their weighted mean; None where nobody gave one.
    clients : Mapping[str, float]
        By site; rounded scores.
    missing : Mapping[str, str]
        By site; why there is none.
    """

    round: int
    metric: str
    score: float | None
    clients: Mapping[str, float]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Selection:
    """The round of the generator with the best score, None without one; and of that which draws the synthetic set."""

    best: int | None
    taken: int


@dataclass(frozen=True)
class Stage:
    """A stage of the job that ended: its wall-clock seconds, how it ended (as :class:`End`), and why in one line."""

    name: str
    seconds: float
    how: str = FINISHED
    why: str = ""


@dataclass(frozen=True)
class MemoryPeak:
    """The highest memory use of one process in MiB."""

    who: str
    peak_mib: float


@dataclass(frozen=True)
class RowPicture:
    """A window of a test image beside what a model found there.

    Attributes
    ----------
    rank : str
        ``worst 1``, ``worst 2`` and so on, or ``best 1``.
    figure : float
        The metric, of this window alone.
    file : str
        A PNG file, relative to the run directory: green where a class was found, red where missed, blue where there
        is none; at the left all that is true.
    """

    rank: str
    figure: float
    file: str


@dataclass(frozen=True)
class RowPictures:
    """What the first model of a row of the TSTR table does worst and best on, by a metric of masks.

    Attributes
    ----------
    row : str
        As :class:`~flower_dgan.tasks.results.TstrResult` names it.
    metric : str
        By its name.
    pictures : tuple of RowPicture
        The worst ones first. They show images of the server's own test split, and of no client.
    """

    row: str
    metric: str
    pictures: tuple[RowPicture, ...]


@dataclass(frozen=True)
class RunMetrics:
    """Everything in ``metrics.jsonl``, in the order of its lines, and the scores by patient."""

    joins: tuple[Join, ...]
    rounds: tuple[Round, ...]
    tstr: tuple[TstrResult, ...]
    traffic: tuple[Traffic, ...]
    records: tuple[RecordCount, ...]
    stages: tuple[Stage, ...]
    memory: tuple[MemoryPeak, ...]
    distances: tuple[Distance, ...] = ()
    missing_moments: tuple[MissingMoments, ...] = ()
    changes: tuple[Change, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    end: End | None = None
    patients: tuple[PatientScore, ...] = ()
    validations: tuple[Validation, ...] = ()
    selection: Selection | None = None
    devices: tuple[Where, ...] = ()
    releases: tuple[NoisyRelease, ...] = ()
    private_steps: tuple[PrivateSteps, ...] = ()
    tested: tuple[RowPictures, ...] = ()
