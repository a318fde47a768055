"""Nodes that lack classes which others have: ``data.classes`` says how many there are."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict
from PIL import Image

from flower_dgan.client_app import app
from flower_dgan.errors import FederationError
from flower_dgan.exactness import exactness_overrides
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.generator_file import load_generator
from flower_dgan.node.secret import secret_of
from flower_dgan.resolve import resolve
from tests.reference.runs import TOLERANCE, largest_relative_difference, train_reference

SITES = {"arles": 3, "bonn": 2, "cork": 1}
"""How many classes each site has: all, all but the rarest, and the background alone."""
SMALL = (
    "data=folder data.image_size=16 data.augmentation=none exchange.batch_size=2 exchange.min_nodes=3 "
    "model.generator_width=4 model.discriminator_width=4"
)


def write_site(root: Path, site: str, classes: int) -> None:
    """Write six pairs whose masks have stripes of class 0 .. ``classes`` - 1."""
    rng = np.random.default_rng(classes)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for number in range(6):
        name = f"{'te' if number == 5 else 'tr'}_{site}_{site}{number}_0.png"
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(root / "images" / name)
        rows = (np.arange(20) + number)[:, None] // 3 % classes * np.ones((20, 20))
        Image.fromarray(rows.astype(np.uint8)).save(root / "masks" / name)


def run(tmp_path: Path, overrides: str) -> Path:
    """Let each site train with a folder of its own."""
    contexts = simulated_contexts(len(SITES), overrides)
    for (site, classes), context in zip(SITES.items(), contexts.values(), strict=True):
        write_site(tmp_path / site, site, classes)
        context.node_config = {"data-path": str(tmp_path / site), "name": site, "policy": "research"}
        context.state = RecordDict()
    return run_job(InProcessGrid(app, contexts), resolve(overrides), 0).path


def test_a_site_without_the_rarest_class_trains_exactly_as_the_loop(tmp_path: Path) -> None:
    """The loop reads all sites as one folder, in which the classes are found, and sets nothing."""
    overrides = f"{exactness_overrides(4, tmp_path / 'run', 'algorithm=dgan')} {SMALL} partition=site"
    path = run(tmp_path, f"{overrides} data.classes=3")
    for site, classes in SITES.items():
        write_site(tmp_path / "pooled", site, classes)
    pooled = resolve(f"{overrides} data.root='{tmp_path / 'pooled'}'")
    # each node made a secret file in the home of this test
    secrets = {site: secret_of({"data-path": str(tmp_path / site)}, site, site, pooled.seed) for site in SITES}
    loop = train_reference(pooled, len(SITES), secrets=secrets)
    network, _, shape = load_generator(path / "generator.safetensors")
    assert (shape.classes, shape.sites) == (3, tuple(SITES))
    assert largest_relative_difference(network.state_dict(), loop.generator) <= TOLERANCE
    # class ids, not 0 and 255, although a site has two of them
    masks = [np.asarray(Image.open(mask)) for mask in (path / "synthetic/masks").iterdir()]
    assert {int(value) for mask in masks for value in np.unique(mask)} <= {0, 1, 2}


def test_without_the_setting_nodes_must_find_the_same(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="numbers of classes differ"):
        run(tmp_path, f"{exactness_overrides(1, tmp_path / 'run')} {SMALL} partition=site")


def test_a_node_refuses_a_class_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match=r"The run cannot start: .*node 1"):
        run(tmp_path, f"{exactness_overrides(1, tmp_path / 'run')} {SMALL} partition=site data.classes=2")


def test_foreign_label_maps_need_not_have_all_classes(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    for number in range(4):
        Image.fromarray(np.eye(16, k=number, dtype=np.uint8)).save(tmp_path / "foreign" / f"{number}.png")
    overrides = f"{exactness_overrides(1, tmp_path / 'run')} {SMALL} partition=site data.classes=3"
    path = run(tmp_path, f"{overrides} data.label_maps='{tmp_path / 'foreign'}'")
    assert load_generator(path / "generator.safetensors")[2].classes == 3
