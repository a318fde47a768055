"""``flower-dgan clean``: what runs and nodes keep goes, after it was said what that is."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flower_dgan.cli.consoles import console, print_table
from flower_dgan.errors import ConfigError
from flower_dgan.removal import Found, remove, shown, survey, unused

if TYPE_CHECKING:
    from flower_dgan.node.leftovers import Leftover

_CACHED = re.compile(r"[0-9a-f]{16,128}(-\d+)?\.(npz|partial)")
_CACHE = ("flower-dgan", "label-maps")
_WHAT_RECORDS_ARE = (
    "With --records also go what this user's nodes draw by, the key by which other owners know them, the ledgers of "
    "what left, and the counts of what was done with each image: a policy's limits on an image then begin anew, and "
    "other owners must name another key. Keep a copy if anybody may ask what left."
)


def clean(
    place: Annotated[
        Path | None,
        typer.Argument(
            help="A run directory; a node's state directory, or a training in its clients/; or the server's cache of "
            "label maps. Left out: list what this user keeps."
        ),
    ] = None,
    records: Annotated[
        bool, typer.Option("--records", help="Of a state directory, also secrets, keys, ledgers and the owner's book.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you mean it.")] = False,
) -> None:
    """Remove what a run or a node keeps, after saying what that is; what is in use, or not its own, stays."""
    if place is None:
        _list()
        return
    from flower_dgan.node.leftovers import RECORDS, is_state, leftovers, of_place
    from flower_dgan.report.run_files import is_run

    place = place.expanduser().absolute()
    if place.is_symlink() or not place.is_dir():
        raise ConfigError(f"{shown(place)} is {'a link' if place.is_symlink() else 'no directory'}: name a directory.")
    if records and not is_state(place):
        raise ConfigError(f"{shown(place)} is no state directory of nodes: leave --records out.")
    if is_run(place):
        _clean_run(place, yes)
    elif kept := list(of_place(place)):
        _clean_trainings(kept, (), yes)
    elif is_state(place):
        found = [survey(place / name) for name in RECORDS if records and (place / name).exists()]
        if records:
            console.print(_WHAT_RECORDS_ARE, soft_wrap=True)
        _clean_trainings(list(leftovers(place)), found, yes)
    elif place.parts[-2:] == _CACHE:
        cached = [each for each in sorted(place.iterdir()) if _CACHED.fullmatch(each.name)]
        found = [survey(each) for each in cached]
        if _agreed(found, yes):
            for each in cached:
                remove(each)
    else:
        raise ConfigError(
            f"{shown(place)} is neither a run directory, nor a node's state, nor a cache of label maps: nothing was "
            "removed. `flower-dgan clean` alone lists what there is."
        )


def _clean_run(place: Path, yes: bool) -> None:
    from flower_dgan.report.run_files import files_of_run, has_links

    with unused(place):
        ours, others = files_of_run(place)
        found = [survey(each, links=has_links(each)) for each in ours]
        if others:
            names = ", ".join(shown(each) for each in others[:5])
            console.print(f"Not of the run, and kept: {len(others)}, such as {names}", soft_wrap=True)
        if not _agreed(found, yes):
            return
        for each in ours:  # in this order
            remove(each)
    with suppress(OSError):  # what is not of the run is still in it
        place.rmdir()


def _clean_trainings(kept: "Sequence[Leftover]", more: Sequence[Found], yes: bool) -> None:
    """Remove what nodes keep of trainings, but for those that may be under way, and what goes with them."""
    import time

    from flower_dgan.node.leftovers import remove_leftover

    now = time.time()
    under_way = {each.found.path: reason for each in kept if (reason := each.under_way(now)) is not None}
    going = [each for each in kept if each.found.path not in under_way]
    for path, reason in under_way.items():
        console.print(f"{shown(path)} stays: {reason}.", soft_wrap=True)
    if more and under_way:
        raise ConfigError("Secrets, ledgers and the book stay too, as these trainings need them: nothing was removed.")
    if _agreed([*(each.found for each in going), *more], yes):
        for each in going:
            remove_leftover(each)
        for one in more:
            remove(one.path)
    if under_way:
        raise typer.Exit(1)


def _agreed(found: Sequence[Found], yes: bool) -> bool:
    """Say what would be removed, and return whether that is meant."""
    if not found:
        console.print("Nothing to remove.")
        return False
    table = Table("to be removed", "files", "MB")
    for each in found:
        table.add_row(shown(each.path), f"{each.files:,}", f"{each.bytes / 1e6:,.1f}")
    print_table(table)
    if not yes:
        typer.confirm("Remove them for good?", abort=True)
    return True


def _list() -> None:
    """Print what this user's runs and nodes keep, and where."""
    from platformdirs import user_cache_path, user_data_path, user_state_path

    state, cache = user_state_path("flower-dgan"), user_cache_path("flower-dgan") / "label-maps"
    runs = user_data_path("flower-dgan") / "runs"
    table, odd = Table("what", "where", "files", "MB"), list[str]()
    for what, folder in (
        ("node: trainings", state / "clients"),
        ("node: secrets", state / "secrets"),
        ("node: key for sums with others", state / "identity"),
        ("node: ledgers", state / "ledger"),
        ("node: the owner's book", state / "book.sqlite"),
        ("server: label maps of the owners", cache),
        *(("run", each) for each in (sorted(runs.iterdir()) if runs.is_dir() else ())),
    ):
        if folder.exists():
            try:
                found = survey(folder, links=what == "run")
                table.add_row(what, shown(folder), f"{found.files:,}", f"{found.bytes / 1e6:,.1f}")
            except ConfigError as error:  # it would be refused; the others are listed all the same
                table.add_row(what, shown(folder), "?", "?")
                odd.append(str(error))
    print_table(table)
    for sentence in odd:
        console.print(sentence, soft_wrap=True)
    console.print(f"Runs with an output.directory are where that says. State of nodes: {shown(state)}", soft_wrap=True)
