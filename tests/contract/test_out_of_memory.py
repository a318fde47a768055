"""A device whose memory does not do: a node's is that node's refusal, the server's ends the run with what to lower."""

from typing import Any

import pytest
import torch

from flower_dgan.errors import DeviceMemoryError
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.report.run_metrics import read_metrics

from .conftest import Federation


def test_a_node_without_memory_is_left_out_and_the_run_goes_on(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = DiscriminatorHalf.step, iter(range(100))

    def full_at_first(self: DiscriminatorHalf, *batches: Any) -> torch.Tensor:
        if next(calls) == 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB.")
        return step(self, *batches)

    monkeypatch.setattr(DiscriminatorHalf, "step", full_at_first)
    metrics = read_metrics(federation.run().path)
    ((refused, reason),) = metrics.rounds[0].rejected.items()
    assert "Tried to allocate 3 GiB" in reason  # one owner has both ends of a simulation
    assert [sorted(each.clients) for each in metrics.rounds] == [
        sorted({"part-0", "part-1"} - {refused}),
        ["part-0", "part-1"],
    ]
    assert metrics.end is not None
    assert metrics.end.how == "finished"


def test_a_server_without_memory_says_in_one_line_what_to_lower(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 3 GiB.")

    monkeypatch.setattr(GeneratorHalf, "apply", full)
    with pytest.raises(DeviceMemoryError):
        federation.run()
    end = read_metrics(federation.directory).end
    assert end is not None
    assert end.how == "failed"
    assert end.why.startswith("The device has not enough memory for batches of 4 images of 32 x 32 pixels")
    assert "Lower exchange.batch_size" in end.why


def test_log_and_report_say_where_networks_are(federation: Federation, caplog: pytest.LogCaptureFixture) -> None:
    directory = federation.run("exchange.rounds=1 precision=bfloat16")
    (where,) = read_metrics(directory.path).devices
    assert (where.who, where.device, where.attempt) == ("server", "cpu", 1)
    assert where.what.endswith(", bfloat16")
    assert where.what in (directory.path / "report.md").read_text(encoding="utf-8")
    assert f"The server's networks are on {where.what}" in caplog.text
    assert f"This node computes on {where.what}" in caplog.text
