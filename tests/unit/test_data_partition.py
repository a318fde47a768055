"""Partitions: who holds what, and which numbers of clients are refused."""

import pytest

from flower_dgan.config import PartitionConfig
from flower_dgan.data import Entry, partition, partition_names, require_batch
from flower_dgan.errors import ConfigError, DataError, FederationError

SITE, IID = PartitionConfig("site", ()), PartitionConfig("iid", ())
COMMAND = "flwr federation simulation-config @none/default local --num-supernodes"


def _entry(name: str, site: str = "all", label: int = -1) -> Entry:
    return Entry(name, site, name, label, 8, 8)


# Neither the names nor the sites are in alphabetical order, and the sites are of different size.
SITES = (_entry("d", "kidney"), _entry("a", "breast"), _entry("c", "lung"), _entry("b", "breast"), _entry("e", "10"))
LABELS = tuple(_entry(str(index), label=label) for index, label in enumerate((4, 0, 9, 1, 0, 4)))


def _names(entries: tuple[Entry, ...]) -> str:
    return "".join(entry.name for entry in entries)


def test_sites_are_numbered_alphabetically() -> None:
    assert partition_names(SITES, SITE, 4) == ("10", "breast", "kidney", "lung")
    parts = [partition(SITES, SITE, client, 4, 0) for client in range(4)]
    assert [_names(part) for part in parts] == ["e", "ab", "d", "c"]
    assert [{entry.site for entry in part} for part in parts] == [{"10"}, {"breast"}, {"kidney"}, {"lung"}]


@pytest.mark.parametrize(
    ("clients", "outcome"), [(6, "2 of the clients would have no data"), (3, "1 would be left out")]
)
def test_sites_need_as_many_clients(clients: int, outcome: str) -> None:
    with pytest.raises(FederationError) as caught:
        partition(SITES, SITE, 0, clients, 0)
    message = str(caught.value)
    assert f"{clients} clients but 4 sites" in message
    assert outcome in message
    assert f"{COMMAND} 4 " in message


def test_labels_follow_the_order_of_the_groups() -> None:
    config = PartitionConfig("label", ((4, 9), (0, 1)))
    assert partition_names(LABELS, config, 2) == ("labels 4,9", "labels 0-1")
    assert [_names(partition(LABELS, config, client, 2, 0)) for client in (0, 1)] == ["025", "134"]


def test_labels_in_no_group_are_not_used() -> None:
    config = PartitionConfig("label", ((9,), (1, 0)))
    assert partition_names(LABELS, config, 2) == ("label 9", "labels 0-1")
    assert [_names(partition(LABELS, config, client, 2, 0)) for client in (0, 1)] == ["2", "134"]


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
        partition_names(entries, PartitionConfig("label", groups), 2)


def test_label_groups_need_as_many_clients() -> None:
    with pytest.raises(FederationError) as caught:
        partition_names(LABELS, PartitionConfig("label", ((0, 1), (4,), (9,))), 2)
    assert "2 clients but 3 label groups (labels 0-1; label 4; label 9)" in str(caught.value)
    assert f"{COMMAND} 3 " in str(caught.value)


def test_iid_parts_are_equal_disjoint_and_seeded() -> None:
    entries = tuple(_entry(f"{index:02d}") for index in range(11))
    assert partition_names(entries, IID, 3) == ("part-0", "part-1", "part-2")
    parts = [partition(entries, IID, client, 3, 5) for client in range(3)]
    assert [len(part) for part in parts] == [4, 4, 3]
    assert sorted(entry.name for part in parts for entry in part) == [entry.name for entry in entries]
    assert all(list(part) == sorted(part, key=lambda entry: entry.name) for part in parts)
    assert [partition(entries, IID, client, 3, 5) for client in range(3)] == parts
    assert [partition(entries, IID, client, 3, 6) for client in range(3)] != parts
    # Not the runs of neighbours that the partitioner makes by itself.
    assert set(parts[0]) != set(entries[:4])


@pytest.mark.parametrize("clients", [0, 6])
def test_iid_needs_an_image_a_client(clients: int) -> None:
    assert len(partition_names(SITES, IID, 5)) == 5
    with pytest.raises(FederationError, match=f"{clients} clients cannot share 5 .*--num-supernodes 5"):
        partition_names(SITES, IID, clients)


@pytest.mark.parametrize("client", [-1, 4])
def test_no_such_client(client: int) -> None:
    with pytest.raises(FederationError, match=rf"no partition {client} of 4: partition ids are 0 \.\. 3"):
        partition(SITES, SITE, client, 4, 0)


def test_unknown_partition() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'site'"):
        partition_names(SITES, PartitionConfig("sites", ()), 4)  # type: ignore[arg-type]


def test_no_progress_bar(capfd: pytest.CaptureFixture[str]) -> None:
    partition(SITES, SITE, 0, 4, 0)
    assert capfd.readouterr() == ("", "")


def test_a_batch_must_be_filled() -> None:
    require_batch(SITES, 5, "lung")
    with pytest.raises(DataError, match="Client 'lung' has 5 training images, fewer than a batch of 6"):
        require_batch(SITES, 6, "lung")
