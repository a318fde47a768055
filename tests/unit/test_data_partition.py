"""Partitions: who holds what, and which numbers of clients are refused."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from flower_dgan.config import PartitionConfig, PartitionName
from flower_dgan.data import Entry, Pairs, named_clients, partition, require_batch
from flower_dgan.data.drawn_partition import by_client, by_size, iid, zipf_sizes
from flower_dgan.data.skew import distributions
from flower_dgan.errors import ConfigError, DataError, FederationError

IID = PartitionConfig("iid", (), 0, 0.0, 0, 0, 0.0, None)
SITE = replace(IID, name="site")
COMMAND = "flwr federation simulation-config @none/default local --num-supernodes"


def _entry(name: str, site: str = "all", label: int = -1) -> Entry:
    return Entry(name, site, name, label, 8, 8)


# Neither the names nor the sites are in alphabetical order, and the sites are of different size.
SITES = (_entry("d", "kidney"), _entry("a", "breast"), _entry("c", "lung"), _entry("b", "breast"), _entry("e", "10"))
LABELS = tuple(_entry(str(index), label=label) for index, label in enumerate((4, 0, 9, 1, 0, 4)))


@dataclass(frozen=True)
class _Source:
    """Entries whose mask of 10 pixels has as many of foreground as the last digit of the name says."""

    train: Sequence[Entry]
    classes: int = 3
    image_classes: int = 0
    test: Sequence[Entry] = ()

    def load(self, entries: Sequence[Entry]) -> Pairs:
        assert len(entries) == 1, "not all masks in memory at once"
        mask = np.zeros((2, 5), np.uint8)
        mask.flat[: int(entries[0].name[-1])] = 2
        return Pairs((np.zeros((2, 5, 1), np.uint8),), (mask,), 3)


def _parts(entries: Sequence[Entry], config: PartitionConfig, clients: int, seed: int = 0) -> dict[str, str]:
    """Partition, and join the names of the entries of each client."""
    parts = partition(_Source(entries), config, clients, seed)
    return {name: "".join(entry.name for entry in part) for name, part in parts.items()}


def _label(*groups: tuple[int, ...]) -> PartitionConfig:
    return replace(IID, name="label", label_groups=groups)


def _csv(path: Path, *lines: str) -> PartitionConfig:
    path.write_text("\n".join(lines))
    return replace(IID, name="csv", file=str(path))


# Clients that the data or the settings name


def test_sites_are_numbered_alphabetically() -> None:
    assert named_clients(SITES, SITE) == ("10", "breast", "kidney", "lung")
    parts = _parts(SITES, SITE, 4)
    assert list(parts.items()) == [("10", "e"), ("breast", "ab"), ("kidney", "d"), ("lung", "c")]


@pytest.mark.parametrize(
    ("clients", "outcome"), [(6, "2 of the clients would have no data"), (3, "1 would be left out")]
)
def test_sites_need_as_many_clients(clients: int, outcome: str) -> None:
    with pytest.raises(FederationError) as caught:
        _parts(SITES, SITE, clients)
    message = str(caught.value)
    assert f"{clients} clients but 4 sites" in message
    assert outcome in message
    assert f"{COMMAND} 4 " in message


def test_labels_follow_the_order_of_the_groups() -> None:
    assert list(_parts(LABELS, _label((4, 9), (0, 1)), 2).items()) == [("labels 4,9", "025"), ("labels 0-1", "134")]


def test_labels_in_no_group_are_not_used() -> None:
    assert list(_parts(LABELS, _label((9,), (1, 0)), 2).items()) == [("label 9", "2"), ("labels 0-1", "134")]


@pytest.mark.parametrize(
    ("entries", "groups", "words"),
    [
        (SITES, ((0,), (1,)), "these have none"),
        (LABELS, ((0, 1), (1, 4)), "label 1 twice"),
        (LABELS, ((0, 0), (4,)), "label 0 twice"),
        (LABELS, ((0, 7), (4,)), "label 7, which no training image has; known: 0, 1, 4, 9"),
        (LABELS, ((0, 1), ()), "a client without labels"),
        (LABELS, (), "a client without labels"),
    ],
)
def test_bad_label_groups(entries: tuple[Entry, ...], groups: tuple[tuple[int, ...], ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        named_clients(entries, _label(*groups))


def test_label_groups_need_as_many_clients() -> None:
    with pytest.raises(FederationError) as caught:
        _parts(LABELS, _label((0, 1), (4,), (9,)), 2)
    assert "2 clients but 3 label groups (labels 0-1; label 4; label 9)" in str(caught.value)
    assert f"{COMMAND} 3 " in str(caught.value)


def test_a_csv_file_names_the_clients(tmp_path: Path) -> None:
    config = _csv(tmp_path / "p.csv", "client,name", "north,a", "south,b", "east,c", "south,d", "north,e")
    assert named_clients(SITES, config) == ("east", "north", "south")
    assert list(_parts(SITES, config, 3).items()) == [("east", "c"), ("north", "ae"), ("south", "db")]
    with pytest.raises(FederationError, match="2 clients but 3 client names"):
        _parts(SITES, config, 2)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("name,client", "a,x", "b,x", "c,x", "d,x"), "has no row for e"),
        (("name,client", "a,x", "b,x", "c,x", "d,x", "e,x", "f,x"), "rows for f, which are no training pairs"),
        (("name,client", "a,x", "b,x", "c,x", "d,x", "e,x", "a,y"), "'a' has two rows"),
        (("name,client", "a,x", "b,"), "'b,' needs 2 filled cells"),
        (("name,clients", "a,x"), "Did you mean 'client'"),
        (("name", "a"), "it needs 'name' and 'client', each once"),
    ],
)
def test_bad_csv_file(lines: tuple[str, ...], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        named_clients(SITES, _csv(tmp_path / "p.csv", *lines))


def test_no_csv_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"partition.file: .*none.csv cannot be read"):
        named_clients(SITES, replace(IID, name="csv", file=str(tmp_path / "none.csv")))


# Any number of clients


def test_iid_parts_are_equal_disjoint_and_seeded() -> None:
    entries = tuple(_entry(f"{index:02d}") for index in range(11))
    parts = partition(_Source(entries), IID, 3, 5)
    assert list(parts) == ["part-0", "part-1", "part-2"]
    assert [len(part) for part in parts.values()] == [4, 4, 3]
    assert sorted(entry.name for part in parts.values() for entry in part) == [entry.name for entry in entries]
    assert all(list(part) == sorted(part, key=lambda entry: entry.name) for part in parts.values())
    # Not the runs of neighbours that the partitioner makes by itself.
    assert set(parts["part-0"]) != set(entries[:4])


@pytest.mark.parametrize("clients", [0, 6])
def test_iid_needs_an_image_a_client(clients: int) -> None:
    assert len(_parts(SITES, IID, 5)) == 5
    with pytest.raises(FederationError, match=f"{clients} clients cannot share 5 .*--num-supernodes 5"):
        _parts(SITES, IID, clients)


def test_shards_are_runs_of_the_sorted_labels() -> None:
    entries = [_entry(name, label="abcd".index(name.lower())) for name in "dAbcBaDC"]
    one = _parts(entries, replace(IID, name="shards", shards_per_client=1), 4)
    assert sorted(one.values()) == ["Aa", "bB", "cC", "dD"]
    two = _parts(entries, replace(IID, name="shards", shards_per_client=2), 2)
    assert [len(set(part.lower())) for part in two.values()] == [2, 2]


def test_shards_that_do_not_divide_evenly_leave_no_pair_out() -> None:
    entries = [_entry(name, label=index % 3) for index, name in enumerate("abcdefg")]
    parts = _parts(entries, replace(IID, name="shards", shards_per_client=2), 2)
    assert sorted(map(len, parts.values())) == [3, 4]
    assert sorted("".join(parts.values())) == list("abcdefg")


def test_more_shards_than_pairs() -> None:
    with pytest.raises(FederationError, match=r"3 clients with partition\.shards_per_client=3 need 9 .* there are 6"):
        _parts(LABELS, replace(IID, name="shards", shards_per_client=3), 3)


def _skew(config: PartitionConfig, seed: int) -> float:
    source = _Source([_entry(f"{index:03d}", label=index % 5) for index in range(300)])
    return distributions(source, partition(source, config, 4, seed))[0].mean_distance


def test_dirichlet_is_more_skewed_with_a_smaller_alpha() -> None:
    few, some, many = (
        [_skew(replace(IID, name="dirichlet", alpha=alpha, min_pairs=1), seed) for seed in range(4)]
        for alpha in (0.1, 1.0, 100.0)
    )
    assert max(many) < min(some) <= max(some) < min(few)
    assert np.mean(few) > 0.6
    assert np.mean(many) < 0.12


def test_dirichlet_is_drawn_until_each_client_has_enough() -> None:
    entries = [_entry(f"{index:02d}", label=index % 2) for index in range(40)]
    rare = replace(IID, name="dirichlet", alpha=0.3, min_pairs=1)
    smallest = [min(map(len, _parts(entries, rare, 4, seed).values())) // 2 for seed in range(4)]
    assert min(smallest) < 3  # pairs; names have two letters
    smallest = [min(map(len, _parts(entries, replace(rare, min_pairs=3), 4, seed).values())) // 2 for seed in range(4)]
    assert min(smallest) >= 3
    with pytest.raises(FederationError, match=r"each of 4 clients partition.min_pairs=10 .* greater partition.alpha"):
        _parts(entries, replace(rare, min_pairs=10), 4)


def test_pathological_clients_have_so_many_labels_and_share_each_equally() -> None:
    entries = [_entry(f"{index:02d}", label=index % 4) for index in range(40)]
    config = replace(IID, name="pathological", classes_per_client=2)
    parts = partition(_Source(entries), config, 8, 0)
    labels = [Counter(entry.label for entry in part) for part in parts.values()]
    assert [len(own) for own in labels] == [2] * 8
    assert [k % 4 in own for k, own in enumerate(labels)] == [True] * 8
    for label in range(4):
        shares = [own[label] for own in labels if label in own]
        assert sum(shares) == 10
        assert max(shares) - min(shares) <= 1
    # One client of two labels: the others are not used.
    assert len(partition(_Source(entries), config, 1, 0)["part-0"]) == 20


def test_pathological_settings_that_the_data_cannot_fill() -> None:
    with pytest.raises(ConfigError, match="classes_per_client=5, but the training pairs have 4 labels"):
        _parts(LABELS, replace(IID, name="pathological", classes_per_client=5), 2)
    with pytest.raises(FederationError, match="a label has more clients than pairs"):
        _parts(LABELS, replace(IID, name="pathological", classes_per_client=4), 3)


@pytest.mark.parametrize("name", ["dirichlet", "pathological"])
def test_a_partition_of_the_extra_says_how_to_get_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flwr_datasets.partitioner", None)
    with pytest.raises(ConfigError, match=rf"partition={name} .*pip install 'flower-dgan\[partitions\]'"):
        _parts(LABELS, KINDS[name], 2)
    assert len(_parts(LABELS, IID, 2)) == 2


@pytest.mark.parametrize(("clients", "seed"), [(1, 0), (3, 1), (7, 2**40)])
def test_plain_draws_are_those_of_flower_datasets(clients: int, seed: int) -> None:
    """As long as partitions were drawn by it, and figures were measured on them."""
    from datasets import Dataset
    from flwr_datasets.partitioner import IidPartitioner, NaturalIdPartitioner, SizePartitioner

    def loaded(partitioner: Any, columns: dict[str, Any], seed: int | None) -> list[list[int]]:
        table = Dataset.from_dict(columns)
        partitioner.dataset = table if seed is None else table.shuffle(seed=seed, keep_in_memory=True)
        return [sorted(partitioner.load_partition(client)["index"][:]) for client in range(clients)]

    pairs = {"index": range(23)}
    assert iid(23, clients, seed) == loaded(IidPartitioner(clients), pairs, seed)
    sizes = [23 - sum(range(1, clients)), *range(1, clients)]
    assert by_size(sizes, seed) == loaded(SizePartitioner(sizes), pairs, seed)
    owners = [None if index == 5 else index % clients for index in range(23)]
    held = {index: client for index, client in enumerate(owners) if client is not None}
    named = {"index": list(held), "client": list(held.values())}
    assert by_client(owners, clients) == loaded(NaturalIdPartitioner("client"), named, None)


def test_sizes_follow_zipfs_law() -> None:
    assert zipf_sizes(22, 3, 1.0) == [12, 6, 4]  # 22 / (1 + 1/2 + 1/3) = 12
    assert zipf_sizes(49, 3, 2.0) == [36, 9, 4]  # 49 / (1 + 1/4 + 1/9) = 36
    # 10.9, 5.5 and 3.6 of 20: the two pairs that rounding down leaves go to the greatest remainders.
    assert zipf_sizes(20, 3, 1.0) == [11, 5, 4]
    with pytest.raises(FederationError, match=r"partition.exponent=3.0 leaves the smallest of 4 clients 0.13 of 10"):
        zipf_sizes(10, 4, 3.0)
    entries = [_entry(f"{index:02d}") for index in range(22)]
    parts = partition(_Source(entries), replace(IID, name="size", exponent=1.0), 3, 0)
    assert [len(part) for part in parts.values()] == [12, 6, 4]
    assert set(parts["part-0"]) != set(entries[:12])


def test_foreground_goes_from_little_to_much() -> None:
    entries = [_entry(name) for name in ("a7", "b1", "c9", "d0", "e5", "f3", "g8")]
    assert _parts(entries, replace(IID, name="foreground"), 3) == {
        "foreground-0": "b1d0f3",
        "foreground-1": "a7e5",
        "foreground-2": "c9g8",
    }


# All kinds

KINDS = {
    "site": SITE,
    "label": _label((1, 3), (0, 2, 4)),
    "iid": IID,
    "shards": replace(IID, name="shards", shards_per_client=2),
    "dirichlet": replace(IID, name="dirichlet", alpha=0.5, min_pairs=2),
    "pathological": replace(IID, name="pathological", classes_per_client=3),
    "size": replace(IID, name="size", exponent=1.0),
    "foreground": replace(IID, name="foreground"),
}
MANY = [_entry(f"{index:03d}", site=f"site-{index % 2}", label=index % 5) for index in range(97)]


def partitions(seed: int) -> dict[str, list[list[str]]]:
    """Return the names that the two clients of each kind hold."""
    return {
        name: [[entry.name for entry in part] for part in partition(_Source(MANY), config, 2, seed).values()]
        for name, config in KINDS.items()
    }


def test_every_kind_gives_each_pair_to_one_client_at_most() -> None:
    assert {*KINDS, "csv"} == set(get_args(PartitionName))
    for name, parts in partitions(0).items():
        given = [entry for part in parts for entry in part]
        assert len(set(given)) == len(given), name
        assert min(map(len, parts)) >= 1, name
        assert [sorted(part) for part in parts] == parts, name
        # the two clients of "pathological" leave none of five labels only if they have but one in common
        assert set(given) == {entry.name for entry in MANY} or name == "pathological"


def test_what_is_random_depends_on_the_seed() -> None:
    first, other = partitions(0), partitions(1)
    same = {name for name in KINDS if first[name] == other[name]}
    assert same == {"site", "label"}


def test_partitions_are_the_same_in_every_process() -> None:
    """Whatever the hash seed, the state of the global generators and what was partitioned before."""
    here = partitions(3)
    code = (
        "import random, numpy, torch\n"
        "for seed in (random.seed, numpy.random.seed, torch.manual_seed): seed(1)\n"
        "from tests.unit.test_data_partition import partitions\n"
        "print(partitions(3))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4" if os.environ.get("PYTHONHASHSEED") == "3" else "3"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, env=environment
    )
    assert done.stdout == f"{here}\n"


def test_global_random_states_stay_as_they_are() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    before = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    partitions(0)
    assert random.getstate() == before[0]
    np.testing.assert_equal(np.random.get_state(legacy=False), before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("name", ["shards", "dirichlet", "pathological"])
def test_labels_are_needed(name: str) -> None:
    with pytest.raises(ConfigError, match=f"partition={name} needs a label for every image"):
        _parts(SITES, KINDS[name], 2)


def test_unknown_partition() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'site'"):
        named_clients(SITES, replace(IID, name="sites"))  # type: ignore[arg-type]


def test_no_progress_bar_and_no_warning(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    partitions(0)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_a_batch_must_be_filled() -> None:
    require_batch(SITES, 5, "lung")
    with pytest.raises(DataError, match="Client 'lung' has 5 training images, fewer than a batch of 6"):
        require_batch(SITES, 6, "lung")
