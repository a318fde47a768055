"""Settings of what travels and of when a round closes."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from flower_dgan.config.ranges import Because, Count, PositiveFraction, Seconds, Size, Steps

ImageFormat = Literal["uint8", "float32"]
FeedbackFormat = Literal["float32", "float16", "int8"]
InFlight = Annotated[int, Interval(ge=1, le=2)]


@dataclass(frozen=True)
class ExchangeConfig:
    """How much travels, how often and in which format.

    Attributes
    ----------
    rounds : int
        Messages a client.
    exchanges : int
        Synthetic batches in one message (S); 1 is the papers' algorithm.
    generator_steps : int
        Generator steps a message; divides ``exchanges``.
    in_flight : {1, 2}
        Bundles of a client under way at once. With 1 the server waits for the feedback before it draws the next bundle;
        with 2 it draws ahead, so that clients and generator work at the same time, on feedback one bundle older.
    batch_size : int
        Images of one synthetic batch.
    image_format, feedback_format : str
        Number format on the wire.
    message_mb : float
        Largest message of Flower in either direction, in 10^6 bytes, from 0.1 to 2000: what is larger travels in parts.
    graph_mb : float
        With one generator step a message and one bundle in flight, memory of the server for the graphs of what it
        sent, in 10^6 bytes: what fits is not drawn a second time when the feedback comes. The result is the same.
    min_nodes : int
        Nodes to wait for at the start; the run goes with all that are connected then.
    timeout : float
        Seconds to wait for the replies of a round.
    join_timeout : float
        Seconds to wait for the nodes at the start.
    """

    rounds: Steps
    exchanges: Size
    generator_steps: Size
    in_flight: InFlight
    batch_size: Size
    image_format: ImageFormat
    feedback_format: FeedbackFormat
    message_mb: Annotated[float, Interval(ge=0.1, le=2000), Because("the largest message in 10^6 bytes")]
    graph_mb: Annotated[float, Interval(ge=0, le=1e6), Because("memory in 10^6 bytes; 0 keeps none")]
    min_nodes: Size
    timeout: Annotated[Seconds, Because("seconds")]
    join_timeout: Annotated[Seconds, Because("seconds")]

    @property
    def message_bytes(self) -> int:
        """Largest message of Flower in bytes."""
        return int(self.message_mb * 1e6)

    @property
    def graph_bytes(self) -> int:
        """Memory for graphs in bytes: 0 where the generator moves between drawing and the feedback."""
        return int(self.graph_mb * 1e6) if self.generator_steps == self.in_flight == 1 else 0


@dataclass(frozen=True)
class ScheduleConfig:
    """When a round closes, see ``flower_dgan.gan.schedule``.

    Attributes
    ----------
    quorum : float
        Share of the clients whose feedback closes a round, in (0, 1].
    deadline : float or None
        Seconds after which a round closes with what there is, if there is any; None to wait for the quorum.
    max_staleness : int
        Oldest feedback that is used, in rounds.
    """

    quorum: Annotated[PositiveFraction, Because("it is a share of the clients")]
    deadline: Annotated[Seconds, Because("seconds, or none")] | None
    max_staleness: Count

    @property
    def is_synchronous(self) -> bool:
        """Whether every round waits for every client."""
        return self.quorum == 1 and self.deadline is None
