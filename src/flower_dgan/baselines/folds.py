"""Which patients of each member are held out together, and what is then left to learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flower_dgan.config import Config
from flower_dgan.data import Entry
from flower_dgan.data.patients import deal_into_folds
from flower_dgan.errors import DataError
from flower_dgan.node.node import simulated_parts, simulated_source

Images = Mapping[str, Sequence[Entry]]
"""Of each member, by its name."""


@dataclass(frozen=True)
class Fold:
    """What a fold's trainings see, and what they are tested on.

    Attributes
    ----------
    kept, held : mapping of str to sequence of Entry
        The images of each member that are learned from, and those that are tested on; empty for a member without a
        patient in this fold.
    """

    kept: Images
    held: Images


def plan_folds(config: Config, clients: int) -> tuple[Fold, ...]:
    """Deal the patients of a simulation's members into ``downstream.member_folds`` folds; none for 0.

    A member's images are its part of the training split and, with ``partition=site``, those of its site in the test
    split. A member of one patient tests on none and keeps that one in every fold.

    Raises
    ------
    DataError
        In a fold, a member would have fewer images than a batch.
    """
    count = config.downstream.member_folds
    if not count:
        return ()
    source = simulated_source(config)
    members = {
        name: (*part, *(entry for entry in source.test if config.partition.name == "site" and entry.site == name))
        for name, part in simulated_parts(config, clients).items()
    }
    fold_of = deal_into_folds(members, count)
    alone = {name for name, entries in members.items() if len({entry.group for entry in entries}) == 1}
    folds = []
    for fold in range(count):
        held = {
            name: tuple(e for e in entries if fold_of[e.group] == fold and name not in alone)
            for name, entries in members.items()
        }
        tested = {entry.group for entries in held.values() for entry in entries}
        kept = {name: tuple(e for e in entries if e.group not in tested) for name, entries in members.items()}
        for name, entries in kept.items():
            if len(entries) < config.exchange.batch_size:
                raise DataError(
                    f"Without the patients of one of {count} folds, {name} has {len(entries)} images, fewer than a "
                    f"batch of {config.exchange.batch_size}: set more downstream.member_folds, or a lower "
                    "exchange.batch_size."
                )
        folds.append(Fold(kept, held))
    return tuple(folds)
