"""Bundles and answers of many clients: in files, equal bit by bit, and gone with their tensors."""

import errno
import gc
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from flower_dgan.errors import StorageError
from flower_dgan.federation import spill
from flower_dgan.federation.spill import Spill
from flower_dgan.gan.exchange import Answer, Feedback, Proposal
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.replay import Replay


def proposal_of(samples: int = 3) -> Proposal:
    random = torch.Generator().manual_seed(0)
    return Proposal(
        noise=torch.randn(samples, 5, generator=random),
        texture=torch.randn(samples, 1, 7, 7, generator=random),
        sites=torch.zeros(samples, dtype=torch.int64),
        one_hot=torch.randint(0, 2, (samples, 2, 7, 7), generator=random, dtype=torch.uint8),
        images=torch.randn(samples, 3, 7, 7, generator=random),
        drawn_at=4,
    )


def mapped_from(directory: Path) -> list[str]:
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return [line for line in maps if f" {directory}/" in line]


def equal(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and bool((first == second).all())


def test_a_proposal_is_in_a_file_without_a_name_and_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = proposal_of()
    size = drawn.texture.nbytes + drawn.one_hot.nbytes + drawn.images.nbytes
    monkeypatch.setattr(spill, "LARGE", 10 * size)
    kept = Spill(tmp_path)
    assert kept.proposal(drawn, 10) is drawn
    assert Spill(None).proposal(drawn, 1000) is drawn
    before = len(list(Path("/proc/self/fd").iterdir()))
    put = kept.proposal(drawn, 11)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert put.noise is drawn.noise
    for name in ("texture", "one_hot", "images"):
        assert equal(getattr(put, name), getattr(drawn, name))
    assert list(tmp_path.iterdir()) == []
    assert len(mapped_from(tmp_path)) == 1
    part = put.inputs(slice(1, 3))
    assert equal(part.label_maps, drawn.inputs(slice(1, 3)).label_maps)
    del put, part
    gc.collect()
    assert mapped_from(tmp_path) == []


def test_all_of_an_answer_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "LARGE", 0)
    said = Answer(Feedback(torch.arange(2.0), torch.rand(2, 3, 5, 5), (0, 2, 3)), 0.25)
    weights = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array(7, np.float32)}
    for whole in (said, replace(said, weights=weights), replace(said, change=torch.rand(9), weights=weights)):
        put = Spill(tmp_path).answer(whole, 1)
        assert equal(put.feedback.gradients, whole.feedback.gradients)
        assert (put.feedback.losses is whole.feedback.losses, put.feedback.channels) == (True, (0, 2, 3))
        assert (put.change is None) == (whole.change is None)
        assert put.change is None or equal(put.change, torch.as_tensor(whole.change))
        assert list(put.weights or ()) == list(whole.weights or ())
        for name, array in (put.weights or {}).items():
            assert array.shape == weights[name].shape
            assert array.tolist() == weights[name].tolist()
    nothing = replace(said, feedback=Feedback(torch.zeros(0), torch.zeros(0, 3, 5, 5)))
    assert Spill(tmp_path).answer(nothing, 5) is nothing


def test_a_full_disk_is_an_error_with_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "LARGE", 0)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spill.tempfile, "NamedTemporaryFile", full)
    with pytest.raises(StorageError, match=rf"{tmp_path}.* No space left on device\. Free space on the disk of"):
        Spill(tmp_path).proposal(proposal_of(), 1)


def test_threads_draw_no_more_ahead_than_there_are_workers() -> None:
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    half = GeneratorHalf(network, optimizer, replay=Replay("gradient"), average_decay=0.0, workers=3)
    begun, lock = set[int](), threading.Lock()

    def note(value: int) -> int:
        with lock:
            begun.add(value)
        return 10 * value

    results = half.for_each(note, range(50))
    assert [next(results), next(results)] == [0, 10]
    assert begun <= {0, 1, 2, 3}
    assert list(results) == [10 * value for value in range(2, 50)]
    assert len(begun) == 50
