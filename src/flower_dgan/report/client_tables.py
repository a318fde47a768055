"""What a report says of the clients: what each did, what left it, what of it was refused or bounded."""

from collections.abc import Mapping

from flower_dgan.metrics import figure
from flower_dgan.report.table import table
from flower_dgan.run.run_records import RunMetrics


def client_table(metrics: RunMetrics) -> str:
    """Show what each client did over the whole training."""
    rows = []
    for join in metrics.joins:
        replies = [each.clients[join.site] for each in metrics.rounds if join.site in each.clients]
        ends = (replies[0], replies[-1]) if replies else ()
        rows.append(
            (
                join.site,
                f"{join.images:,}",
                join.channels,
                f"{len(replies):,}",
                f"{sum(reply.rounds_late > 0 for reply in replies):,}",
                f"{sum(reply.weight == 0 for reply in replies):,}",
                f"{sum(each.repeats.get(join.site, 0) for each in metrics.rounds):,}",
                f"{sum(reply.bytes_sent for reply in replies):,}",
                f"{sum(reply.bytes_received for reply in replies):,}",
                " → ".join(figure(reply.discriminator_loss, ".3f") for reply in ends) or "-",
                " → ".join(figure(reply.generator_loss, ".3f") for reply in ends) or "-",
            )
        )
    losses = ("discriminator loss", "generator loss")
    header = (
        "site",
        "images",
        "channels",
        "messages",
        "late",
        "without weight",
        "sent again",
        "bytes sent",
        "bytes received",
        *losses,
    )
    explanation = (
        "Messages are replies that were used, some of them (late) in a later round than they were asked for; those "
        "that contradicted the other clients got no weight. Messages without a reply were sent again. Losses are those "
        "of the first and the last reply."
    )
    return f"{table(header, rows)}\n\n{explanation}"


def change_table(metrics: RunMetrics) -> str:
    """Show who came, went, or was refused."""
    rows = [(each.who, each.what, str(each.round)) for each in metrics.changes]
    return table(("who", "what", "after round"), rows)


def record_table(metrics: RunMetrics, direction: str) -> str:
    """Show each array that crossed in a direction, ``from node`` or ``to node``, with its totals."""
    counts = [each for each in metrics.records if each.direction == direction]
    counts.sort(key=lambda each: (each.site, each.record, each.key))
    header = ("site", "record", "key", "type", "shape", "messages", "bytes")
    return table(
        header, [(c.site, c.record, c.key, c.dtype, c.shape, f"{c.messages:,}", f"{c.bytes:,}") for c in counts]
    )


def rejection_table(metrics: RunMetrics) -> str:
    """Show whose replies were not used, and why."""
    rounds: dict[tuple[str, str], list[int]] = {}
    for each in metrics.rounds:
        for site, reason in each.rejected.items():
            rounds.setdefault((site, reason), []).append(each.round)
    rows = [(site, reason, str(len(n)), str(n[0]), str(n[-1])) for (site, reason), n in sorted(rounds.items())]
    return table(("site", "reason", "replies", "first round", "last round"), rows)


def bounds_table(metrics: RunMetrics) -> str:
    """Say whose replies were beyond what is usual, and whose number of images beyond the largest share."""
    rows = []
    for site in sorted({site for each in metrics.rounds for site in each.clients}):
        theirs = {each.round: each.clients[site] for each in metrics.rounds if site in each.clients}
        scaled = {number: client.bounded for number, client in theirs.items() if client.bounded}
        rows.append((site, "feedback or weights scaled down", scaled))
        capped = {number: 0 for number, client in theirs.items() if client.capped}
        rows.append((site, "weight lowered to algorithm.largest_share", capped))
    together = {each.round: each.bounded_together for each in metrics.rounds if each.bounded_together}
    rows.append(("all", "feedback scaled down after scores were merged", together))
    shown = [
        (site, bound, str(len(rounds)), f"{sum(rounds.values()):,}" if any(rounds.values()) else "-", *_ends(rounds))
        for site, bound, rounds in rows
        if rounds
    ]
    return table(("site", "bound", "rounds", "samples", "first round", "last round"), shown)


def _ends(rounds: Mapping[int, int]) -> tuple[str, str]:
    return str(min(rounds)), str(max(rounds))
