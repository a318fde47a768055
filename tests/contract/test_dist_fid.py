"""Dist-FID through the in-process grid: the distance to pooled real images, which nobody pooled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Array, Context, Message

from flower_dgan.baselines.rows import open_federation
from flower_dgan.comparison.feature_networks import encoder_features, open_encoder
from flower_dgan.comparison.image_sets import POOLED, TEST
from flower_dgan.errors import FederationError
from flower_dgan.generator_file import load_generator
from flower_dgan.metrics.shared.feature_moments import frechet_distance
from flower_dgan.randomness import derive_seed
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import draw_for
from flower_dgan.wire.moments_messages import MOMENTS
from flower_dgan.wire.parameters import unflatten
from flower_dgan.wiring import bundle_settings

from .conftest import TINY, Federation, Reply, TamperedApp
from .test_bad_input import POLICY

ASKED = (
    "downstream=digits downstream.steps=2 downstream.seeds=1 downstream.rows=[DGAN] data.image_size=16 "
    "downstream.dist_fid=180"
)


def test_it_is_the_distance_of_the_pooled_images(federation: Federation, tmp_path: Path, own_home: Path) -> None:
    """A third client does not let its moments leave: the others' are used, and the report says so."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    networks = []

    def third_refuses(message: Message, context: Context, answer: Reply) -> Message:
        if message.metadata.message_type == MOMENTS:
            networks.append(message.content.array_records["feature-network"]["parameters"].numpy())
            if context.node_id == 3:
                context.node_config["policy"] = str(tmp_path / "policy.yaml")
        return answer(message, context)

    path = federation.run(f"{ASKED} model.site_condition=true", clients=3, client_app=TamperedApp(third_refuses)).path
    metrics = read_metrics(path)

    config = resolve(f"{TINY} {ASKED} model.site_condition=true")
    local = open_federation(config, 3)
    encoder = open_encoder(config.downstream, 1)
    unflatten(encoder, networks[0])
    look = encoder_features(encoder)
    # An image of 16 x 16 pixels is its only window. Of 180, shares of 480, 479 and 479 are 60.08, 59.96 and 59.96: what
    # is left of whole ones goes to the first two.
    shares = (61, 60)
    places = [np.linspace(0, most, share).round().astype(int) for most, share in zip((479, 478), shares, strict=True)]
    real = [look([pairs.images[i] for i in chosen]) for pairs, chosen in zip(local.real, places, strict=False)]
    generator, _, _ = load_generator(path / "generator.safetensors")
    settings = replace(bundle_settings(config), augmentation="none", seed=derive_seed(config.seed, "dist-fid"))
    drawn = [
        look(draw_for(generator, labels, settings, share).images)
        for labels, share in zip(local.labels, shares, strict=False)
    ]

    found = {(each.site, each.compared): each for each in metrics.distances}
    assert [(*key, each.windows, each.images) for key, each in found.items()] == [
        (POOLED, "synthetic", 121, 121),
        (POOLED, TEST, 121, 121),
        ("part-0", "synthetic", 61, 61),
        ("part-1", "synthetic", 60, 60),
    ]
    expected = [frechet_distance(torch.cat(real), torch.cat(drawn)), *map(frechet_distance, real, drawn)]
    ours = [found[site, "synthetic"].distance for site in (POOLED, "part-0", "part-1")]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-9)
    assert min(ours) > 1e-4

    (missing,) = metrics.missing_moments
    assert missing.site == "part-2"
    assert "does not let moments of its real images' features leave (moments)" in missing.reason
    report = (path / "report.md").read_text()
    assert "dist-fid-segmenter-64-n180" in report
    assert "| part-2 | This node's policy" in report
    left = {(r.site, r.record, r.key): r.shape for r in metrics.records if r.direction == "from node"}
    assert left["part-0", "moments", "covariance"] == "64 x 64"
    assert ("part-0", "count", "windows") in left
    assert {record for site, record, _ in left if site == "part-2"} == {
        "node",
        "label-maps",
        "feedback",
        "metrics",
        "error",
    }
    # the owner's own record of what was done, and of what left, is all that stays
    left_behind = [file for file in (own_home / "state").rglob("*") if file.is_file()]
    assert {file.name if file.suffix == ".sqlite" else file.parent.name for file in left_behind} == {
        "book.sqlite",
        "ledger",
    }


def test_answers_that_are_none_are_named_and_the_run_ends_well(federation: Federation) -> None:
    def break_moments(message: Message, context: Context, answer: Reply) -> Message:
        reply = answer(message, context)
        if message.metadata.message_type == MOMENTS:
            if context.node_id == 2:
                raise RuntimeError("the disk is full")
            reply.content.array_records["moments"]["mean"] = Array(np.full(64, np.nan))
        return reply

    path = federation.run(ASKED, client_app=TamperedApp(break_moments)).path
    metrics = read_metrics(path)
    assert metrics.distances == ()
    reasons = {each.site: each.reason for each in metrics.missing_moments}
    assert set(reasons) == {"part-0", "part-1"}
    assert "not finite" in reasons["part-0"]
    assert "the disk is full" in reasons["part-1"]
    assert "| part-0 | an array" in (path / "report.md").read_text()


def test_more_windows_than_there_are_stop_the_run_before_the_training(federation: Federation) -> None:
    with pytest.raises(FederationError, match="the clients together have 1438: set it to that or less"):
        federation.run(f"{ASKED} downstream.dist_fid=1439")
    assert not (federation.directory / "generator.safetensors").exists()
