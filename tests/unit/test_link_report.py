import logging

import numpy as np
import pytest

from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.link_report import say_how_long
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.resolve import resolve


def client(node_id: int, name: str) -> JoinedClient:
    return JoinedClient(node_id, False, ClientLabels(name, (np.zeros((8, 8), np.uint8),), 2, 0, ()))


def said(caplog: pytest.LogCaptureFixture, overrides: str, rates: dict[int, float]) -> list[str]:
    config = resolve(
        f"data.image_size=64 data=folder exchange.batch_size=4 exchange.feedback_format=float16 {overrides}"
    )
    with caplog.at_level(logging.INFO, "flwr"):
        say_how_long(config, [client(1, "north"), client(2, "south")], rates)
    return [record.message for record in caplog.records if record.module == "link_report"]


def test_who_takes_how_long_and_what_would_take_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """64 * 4 images of 3 * 64 * 64 float16 values are 6,291,456 bytes: 629 s, of which a minute is 6 of 64."""
    overrides = "exchange.exchanges=64 exchange.generator_steps=64"
    assert said(caplog, overrides, {1: 10_000.0, 2: 2e6}) == [
        "The link of north carried its label maps at 0.01 MB/s: its feedback, 6.3 MB a message, takes 629 s.",
        "The link of south carried its label maps at 2.00 MB/s: its feedback, 6.3 MB a message, takes 3 s.",
        "exchange.exchanges=6 in place of 64 would take a minute.",
    ]


@pytest.mark.parametrize(
    ("overrides", "rates"),
    [
        ("exchange.exchanges=8 exchange.generator_steps=2", {}),
        ("exchange.exchanges=8 exchange.generator_steps=2", {1: 1e6, 2: 1e9}),
        ("algorithm=dgan-selective", {1: 10.0}),
    ],
)
def test_nothing_is_said_of_what_is_fast_or_not_known(
    overrides: str, rates: dict[int, float], caplog: pytest.LogCaptureFixture
) -> None:
    assert said(caplog, overrides, rates) == []


def test_one_exchange_cannot_be_fewer(caplog: pytest.LogCaptureFixture) -> None:
    lines = said(caplog, "exchange.exchanges=1 exchange.generator_steps=1", {2: 100.0})
    assert [line[:17] for line in lines] == ["The link of south"]
