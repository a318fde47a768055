"""``flower-dgan audit``: attacks on a run's own images, and what they find."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flower_dgan.cli.consoles import console

if TYPE_CHECKING:
    from flower_dgan.audit.findings import Finding


def audit(
    run: Annotated[Path, typer.Argument(readable=False, help="Directory of a run, whose data are on this machine.")],
    policy: Annotated[
        str, typer.Option("--policy", help="strict, standard, research or a file: whose promise is tested.")
    ] = "standard",
    candidates: Annotated[int, typer.Option(min=20, max=10_000, help="Images of which a server asks.")] = 200,
    tries: Annotated[int, typer.Option(min=20, max=10_000, help="Sums with a patient, and without.")] = 100,
) -> None:
    """Attack a node that holds images of a run, in simulation, as a hostile server would: what it reads is told.

    It takes minutes, leaves nothing of the owner's books changed, and writes audit.json and the report into the run's
    directory. It exits with 1 if what the policy promises does not hold.
    """
    from flower_dgan.audit.attack_run import audit as attacks
    from flower_dgan.audit.attack_run import promises
    from flower_dgan.audit.findings import write_findings
    from flower_dgan.node.own_policy import own_policy
    from flower_dgan.report import write_report

    rules = own_policy({"policy": policy})
    console.print(f"Policy {policy}. {promises(rules)}", soft_wrap=True)

    found = attacks(run, policy, candidates=candidates, tries=tries, tell=_say)
    write_findings(run, policy, found)
    write_report(run)
    broken = [each for each in found if not each.holds]
    for each in broken:
        console.print(f"BROKEN: {each.attack}: {each.said}", soft_wrap=True)
    console.print(f"What is promised does not hold: {len(broken)} of {len(found)}", soft_wrap=True)
    if broken:
        raise typer.Exit(1)


def _say(found: "Finding") -> None:
    parts = [f"{found.attack}:"]
    if found.value is not None:
        interval = f" ({found.low:.3f} to {found.high:.3f})" if found.low is not None and found.high is not None else ""
        parts.append(f"{found.figure} {found.value:.3f}{interval};")
    if found.refused:
        parts.append(f"refused by {', '.join(found.refused)};")
    console.print(" ".join([*parts, found.said]), soft_wrap=True)
