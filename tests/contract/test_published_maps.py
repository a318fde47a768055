"""No mask of the published set is a piece of a client's whose owner does not allow it."""

import logging
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message
from PIL import Image

from flower_dgan.data import open_source, partition
from flower_dgan.federation.previous_task import read_label_maps_of_run, save_label_maps
from flower_dgan.federation.published_maps import class_shares, draw_label_maps, publishable
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.node.own_policy import own_policy
from flower_dgan.resolve import resolve
from flower_dgan.wire.join_messages import JOIN
from tests.clinic import Clinic
from tests.pairs import make_folder

from .conftest import TINY, Federation, Reply, TamperedApp


def refusing(*parts: int) -> TamperedApp:
    """Return an app of nodes of which some let no masks be published."""

    def say(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == JOIN and context.node_config["partition-id"] in parts:
            reply.content.config_records["node"]["publish"] = False
        return reply

    return TamperedApp(say)


def masks_in(folder: Path) -> list[bytes]:
    return [np.asarray(Image.open(file)).astype(bool).tobytes() for file in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def own() -> list[set[bytes]]:
    """Return the masks of both clients: windows of the whole image, so that a crop is a whole one."""
    config = resolve(TINY)
    source = open_source(config.data)
    parts = partition(source, config.partition, 2, config.seed)
    return [{each.astype(bool).tobytes() for each in source.load(part).label_maps} for part in parts.values()]


@pytest.mark.parametrize(("silent", "shares"), [((), (3, 3)), ((1,), (6, 0)), ((0, 1), (0, 0))])
def test_masks_of_the_published_set_are_of_those_who_allow_it(
    federation: Federation,
    own: list[set[bytes]],
    silent: tuple[int, ...],
    shares: tuple[int, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With both owners' leave three masks of each; with one's all of hers; without any, none of anybody's."""
    with caplog.at_level(logging.WARNING, "flwr"):
        directory = federation.run(client_app=refusing(*silent))
    masks = masks_in(directory.synthetic / "masks")
    only = [own[0] - own[1], own[1] - own[0]]
    assert tuple(sum(each in theirs for each in masks) for theirs in only) == shares
    assert len(masks) == 6
    assert ("publish_label_maps" in caplog.text) == (len(silent) == 2)


def test_the_node_says_what_its_policy_says(tmp_path: Path) -> None:
    clinic = Clinic(make_folder(tmp_path, sites=1, images=9, size=24), tmp_path)
    for line, said in (("", False), ("publish_label_maps: true\n", True)):
        clinic.policy.write_text(f"preset: standard\napproval: false\n{line}")
        reply = clinic.join()
        assert not reply.has_error(), reply.error
        assert reply.content.config_records["node"]["publish"] is said
    allowed = {each: own_policy({"policy": each}).publish_label_maps for each in ("strict", "standard", "research")}
    assert allowed == {"strict": False, "standard": False, "research": True}


def test_where_masks_say_nothing_of_whom_they_are_all_may_be_published() -> None:
    """Classes of whole images; label maps of a folder."""
    maps = (np.zeros((4, 4), np.uint8),)
    silent = ClientLabels("a", maps, 2, 0, publish=False)
    by_class = resolve("data.condition=class downstream=none")
    assert publishable([silent], by_class) == (silent,)
    foreign = ClientLabels("a", maps, 2, 0, foreign=maps, publish=False)
    assert publishable([foreign], resolve(""))[0] is foreign


def test_a_later_task_keeps_what_an_owner_said(tmp_path: Path) -> None:
    maps = (np.zeros((4, 4), np.uint8),)
    save_label_maps(
        tmp_path / "maps.npz", [ClientLabels("a", maps, 2, 0), ClientLabels("b", maps, 2, 1, publish=False)]
    )
    assert [each.publish for each in read_label_maps_of_run(tmp_path / "maps.npz")] == [True, False]
    with np.load(tmp_path / "maps.npz") as arrays:
        np.savez(tmp_path / "of-before.npz", **{name: arrays[name] for name in arrays if name != "publish"})
    assert [each.publish for each in read_label_maps_of_run(tmp_path / "of-before.npz")] == [False, False]


def test_drawn_maps_have_the_shares_of_the_classes_by_hand() -> None:
    """Of 200 pixels 150, 49 and 1: 75 and 24 in a hundred, and half of one, which is there in 1 at least."""
    pixels = np.repeat(np.array([0, 1, 2], np.uint8), [150, 49, 1]).reshape(10, 20)
    shares = class_shares([pixels], 4)
    np.testing.assert_allclose(shares, [0.75, 0.24, 0.01, 0])
    first, second = draw_label_maps(np.array([0.25, 0.75]), 64, 2, 0)
    assert [np.bincount(each.ravel()).tolist() for each in (first, second)] == [[1024, 3072]] * 2
    assert (first != second).any()
    # Blobs, not specks: two pixels beside each other differ in few places.
    assert (first[1:] != first[:-1]).mean() < 0.1
