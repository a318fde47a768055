"""What is written down while a run goes on: measurements, sample grids and a progress line a round."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from flower_dgan.config import Config
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.round_report import RoundReport
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.ledger import FROM_NODE, TO_NODE, Ledger
from flower_dgan.metrics import figure
from flower_dgan.run.crossing_records import RecordCount
from flower_dgan.run.member_records import Change, Join
from flower_dgan.run.round_records import ClientRound, Round
from flower_dgan.run.status_records import LedgerRows
from flower_dgan.steps import step_done

logger = logging.getLogger("flwr")


class Recorder:
    """Writes each round of a run down.

    Parameters
    ----------
    directory : RunDirectory
        Where to.
    config : Config
        The run's configuration.
    grid : FastGrid
        Whose ledger counts the bytes.
    draw_samples : callable
        Called with a round number to write a sample grid.
    done : int
        Rounds that an earlier attempt did.
    """

    def __init__(
        self,
        directory: RunDirectory,
        config: Config,
        grid: FastGrid,
        draw_samples: Callable[[int], None],
        done: int,
    ) -> None:
        self._directory = directory
        self._events = directory.events
        self._config = config
        self._grid = grid
        self._draw_samples = draw_samples
        self._done = self._rounds = done
        self._peaks: dict[str, float] = {}
        self._start = time.monotonic()
        self._round_end = self._start
        self._names: dict[int, str] = {}
        self._nodes: dict[str, int] = {}
        self._counted: dict[int, tuple[int, int]] = {}
        self._repeats: Counter[int] = Counter()

    def record_client(self, client: JoinedClient) -> None:
        """Write down who takes part from now on; a client may come again as another node."""
        if client.name not in self._nodes:
            channels = "all" if client.channels is None else ", ".join(map(str, client.channels))
            levels = client.labels.levels
            looks = (levels.mean, levels.deviation) if levels else ((), ())
            self._events.write(Join(client.name, str(client.node_id), client.images, channels, *looks, client.policy))
        self._names[client.node_id], self._nodes[client.name] = client.name, client.node_id
        self._grid.names[client.node_id] = client.name
        self._counted[client.node_id] = self._bytes(client.node_id)

    def record_change(self, who: str, what: str, change: str) -> None:
        """Write down a change of membership, in words and by its kind."""
        self._events.write(Change(who, what, self._rounds, change))

    def record_ledger(self) -> None:
        """Write down what has crossed the wire so far, so that a run that is killed tells it, too."""
        rows = (
            RecordCount(self._names.get(node_id, f"node {node_id}"), direction, record, key, **vars(count))
            for node_id, direction, record, key, count in self._grid.ledger.rows()
        )
        self._events.write(LedgerRows(self._rounds, tuple(rows)), durable=False)

    def record_round(self, report: RoundReport) -> None:
        """Write a finished round down, and log its line."""
        self._rounds = report.round_number
        clients = {}
        moved = 0
        for name, node_id in self._nodes.items():
            before, now = self._counted[node_id], self._bytes(node_id)
            self._counted[node_id] = now
            sent, received = now[0] - before[0], now[1] - before[1]
            moved += sent + received
            if (done := report.clients.get(name)) is not None:
                self._peaks[name] = max(self._peaks.get(name, 0.0), done.peak_memory_mib)
                clients[name] = ClientRound(
                    discriminator_loss=done.discriminator_loss,
                    generator_loss=done.generator_loss,
                    busy_seconds=done.busy_seconds,
                    compute_seconds=done.compute_seconds,
                    bytes_sent=sent,
                    bytes_received=received,
                    rounds_late=done.rounds_late,
                    weight=done.weight,
                    bounded=done.bounded,
                    capped=done.capped,
                    arrived_seconds=self._grid.arrivals.get(node_id),
                    sendings=self._grid.sendings.get(node_id, 1),
                    score=done.figures.score,
                    score_spread=done.figures.score_spread,
                    feedback_length=done.figures.length,
                    feedback_direction=done.figures.direction,
                    feedback_follows=done.figures.follows,
                    peak_memory_mib=round(done.peak_memory_mib, 1),
                )
        seconds = self._split(report)
        self._events.write(
            Round(
                round=report.round_number,
                seconds=seconds,
                images=report.images,
                clients=clients,
                rejected=report.rejected,
                staleness=report.staleness,
                late=report.late,
                repeats=self._new_repeats(),
                bounded_together=report.bounded_together,
                attempt=self._directory.training.attempt,
            )
        )
        step_done()
        self._log(report, moved, sum(seconds.values()))
        if report.round_number % self._config.output.sample_interval == 0:
            self._draw_samples(report.round_number)
            self.record_ledger()

    def record_end(self, server_peak_mib: float) -> None:
        """Write down what crossed the wire, record by record, and the memory of server and clients."""
        record_ledger(self._directory, self._grid.ledger, self._names)
        self._directory.measure("memory", who="server", peak_mib=server_peak_mib)
        for name, peak in self._peaks.items():
            self._directory.measure("memory", who=name, peak_mib=peak)

    def _bytes(self, node_id: int) -> tuple[int, int]:
        ledger = self._grid.ledger
        return ledger.bytes(node_id, FROM_NODE), ledger.bytes(node_id, TO_NODE)

    def _new_repeats(self) -> dict[str, int]:
        """Return how many messages were sent again to each client since the last round."""
        new = self._grid.repeats - self._repeats
        self._repeats = self._grid.repeats.copy()
        return {self._names.get(node_id, f"node {node_id}"): count for node_id, count in new.items()}

    def _split(self, report: RoundReport) -> dict[str, float]:
        """Split the time since the last round: generator; first client's work; waiting for the others; Flower.

        The parts sum to the wall clock. Work of clients while the generator draws or steps is the generator's.
        """
        now = time.monotonic()
        left = max(0.0, now - self._round_end - report.generator_seconds)
        self._round_end = now
        arrivals = {name: self._grid.arrivals[self._nodes[name]] for name in report.clients}
        if not arrivals:
            return {"generator": report.generator_seconds, "discriminator": 0.0, "waiting": left, "flower": 0.0}
        first = min(arrivals, key=lambda name: arrivals[name])
        busy = report.clients[first].busy_seconds
        if self._config.exchange.in_flight > 1:  # they had their bundle before the generator began
            busy = max(0.0, busy - report.generator_seconds)
        discriminator = min(left, busy)
        waiting = min(left - discriminator, max(arrivals.values()) - min(arrivals.values()))
        return {
            "generator": report.generator_seconds,
            "discriminator": discriminator,
            "waiting": waiting,
            "flower": left - discriminator - waiting,
        }

    def _log(self, report: RoundReport, moved: int, seconds: float) -> None:
        rounds = self._config.exchange.rounds
        elapsed = time.monotonic() - self._start
        left = elapsed / (report.round_number - self._done) * (rounds - report.round_number)
        done = list(report.clients.values())
        logger.info(
            "round %d/%d | loss G %s D %s | %.0f images/s | %.2f MB | %d:%02d left%s%s%s%s%s",
            report.round_number,
            rounds,
            _mean(client.generator_loss for client in done),
            _mean(client.discriminator_loss for client in done),
            report.images / seconds,
            moved / 1e6,
            *divmod(round(left), 60),
            f" | feedback {report.staleness} steps old" if report.staleness else "",
            f" | {', '.join(report.late)} still at work" if report.late else "",
            "".join(f" | {name} is beyond what is usual" for name, c in report.clients.items() if c.bounded),
            "".join(f" | {name} contradicts the others" for name, c in report.clients.items() if not c.weight),
            "".join(f" | without {name}: {reason}" for name, reason in report.rejected.items()),
        )


def record_ledger(directory: RunDirectory, ledger: Ledger, names: Mapping[int, str]) -> None:
    """Write down what crossed the wire, record by record; the names are the clients', by node id."""
    for node_id, direction, record, key, count in ledger.rows():
        site = names.get(node_id, f"node {node_id}")
        directory.events.write(RecordCount(site, direction, record, key, **vars(count)), durable=False)  # more follows


def _mean(losses: Iterable[float]) -> str:
    """Return the mean of losses as it is logged; a stroke for that of none."""
    found = list(losses)
    return figure(sum(found) / len(found), ".3f") if found else "-"
