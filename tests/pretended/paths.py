"""The everyday paths, on whatever device ``device=auto`` is; each returns what it made, on the CPU.

Sizes are the smallest with which a path goes everywhere: two clients, images of 16 pixels, networks of width 4.
"""

import copy
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, Message
from safetensors.torch import load_file
from torch import Tensor, nn

import flower_dgan.gan.perceptual as perceptual
import flower_dgan.node.moments as node_moments
import flower_dgan.node.score as node_score
import flower_dgan.wiring as wiring
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.baselines import fedavg, fedgan_row
from flower_dgan.baselines.rows import LocalFederation, open_federation, train_here
from flower_dgan.client_app import app
from flower_dgan.comparison.classifier import train_classifier
from flower_dgan.comparison.feature_networks import encoder_features, open_encoder, segmenter_features
from flower_dgan.config import Config
from flower_dgan.data import Pairs
from flower_dgan.data.class_maps import BODY, CROSSING, LINE
from flower_dgan.device import device_of, resolve_device
from flower_dgan.federation.job import run_job
from flower_dgan.flower.inprocess import InProcessGrid, simulated_contexts
from flower_dgan.gan.exchange import Answer, Proposal, Question
from flower_dgan.gan.perceptual import PerceptualLoss
from flower_dgan.gan.server_state import PreviousTask
from flower_dgan.gan.snapshot import restore_snapshot, take_snapshot
from flower_dgan.generator_file import load_generator
from flower_dgan.placing import place
from flower_dgan.report.run_metrics import read_metrics
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import synthesize
from flower_dgan.tasks.instances.fit import fit_dense
from flower_dgan.tasks.instances.predict import find_objects
from flower_dgan.tasks.instances.regions import find_regions, fit_mask_rcnn
from flower_dgan.tasks.model_file import ModelKind, save_model
from flower_dgan.tasks.segmentation.fit import train_segmenter
from flower_dgan.tasks.tstr import train_on_synthetic_test_on_real
from flower_dgan.wire.question_message import EXCHANGE
from flower_dgan.wiring import bundle_settings, computing, seeded
from tests.small_detector import small_detector

Made = list[Tensor]

TINY = (
    "partition=iid data.image_size=16 model.generator_width=4 model.discriminator_width=4 exchange.rounds=2 "
    "exchange.exchanges=2 exchange.generator_steps=2 exchange.batch_size=2 exchange.join_timeout=0.2 "
    "output.synthetic_images=4 output.sample_interval=2 output.checkpoint_interval=0 threads=1"
)
PIXEL_LOSSES = (
    "allow_pixel_losses=true model=small model.generator_width=4 model.discriminator_width=4 exchange.exchanges=2 "
    "exchange.generator_steps=2"
)
MASKS = "downstream=digits downstream.encoder=tu-test_resnet downstream.batch_size=2"
"""The segmentation model on an encoder with ReLU, whose backward pass is one operation on any device; SiLU's is not."""
IMAGES = (
    "algorithm=dgan-images model=images model.generator_width=4 model.discriminator_width=4 algorithm.passes=2 "
    "exchange.exchanges=2 exchange.generator_steps=2"
)
STRONG = (
    "algorithm=dgan-images model=strong model.generator_width=1 model.discriminator_width=4 algorithm.passes=1 "
    "exchange.exchanges=1 exchange.generator_steps=1 data.image_size=32"
)
ROUNDS = (
    "algorithm=dgan algorithm.merge=agreement algorithm.gradient_penalty=1",
    IMAGES,
    STRONG,
    f"algorithm=asyndgan {PIXEL_LOSSES}",
    f"algorithm=tdgan {PIXEL_LOSSES}",
    "algorithm=uagan",
    "algorithm=gman",
    "algorithm=dgan-average",
    "algorithm=dgan-selective",
    "algorithm=dgan-sequential",
    "algorithm=fusion",
    "algorithm=fusion model=fusion-gate model.generator_width=4 model.discriminator_width=4",
    "algorithm=mdgan algorithm.swap_interval=1",
)
"""Overrides of the algorithms, two rounds of which are done."""


def settings(overrides: str, directory: Path | None = None) -> Config:
    """Return settings for the smallest run."""
    config = resolve(f"{TINY} downstream=none {overrides}")
    return config if directory is None else replace(config, output=replace(config.output, directory=str(directory)))


def two_rounds(overrides: str) -> Made:
    """Do two rounds of an algorithm in one process; after the first all is kept, and goes on in networks made anew.

    What lies between server and clients has to be on the CPU, and what is kept.
    """
    config = settings(overrides)
    federation, algorithm = open_federation(config, 2), algorithm_of(config)
    kept: Made = []
    server: dict[str, Tensor] = {}
    clients: dict[str, dict[str, Tensor]] = {}
    for round_number in (1, 2):
        state = federation.state(config, previous=_previous(config, federation))
        sessions = federation.sessions(config)
        if server:
            state.restore(server)
            for name, session in sessions.items():
                restore_snapshot(clients[name], session.half.network, session.half.optimizer)
        algorithm.begin(state)
        require_there(state.generator.network, state.generator.average, *(s.half.network for s in sessions.values()))
        proposals, answers = {}, {}
        asked = algorithm.takes_part([*sessions], round_number)
        for name, proposal, question in algorithm.ask(state, round_number, asked):
            answer = algorithm.answer(sessions[name], round_number, question)
            require_cpu(proposal, question, answer)
            proposals[name], answers[name] = proposal, answer
        step = algorithm.learn(state, round_number, proposals, answers, dict.fromkeys(answers, 1.0))
        # copied: on the CPU an optimizer goes on in the tensors that it is given
        server = {key: value.clone() for key, value in state.snapshot().items()}
        snapshots = {name: take_snapshot(each.half.network, each.half.optimizer) for name, each in sessions.items()}
        clients = {name: {key: value.clone() for key, value in each.items()} for name, each in snapshots.items()}
        kept += [*step.losses.values(), *(value.clone() for value in server.values())]
        kept += [value.clone() for each in clients.values() for value in each.values()]
    require_cpu(*kept)
    return kept


def _previous(config: Config, federation: LocalFederation) -> PreviousTask | None:
    """Return a task before for TDGAN: another generator on the same label maps."""
    if config.algorithm.name != "tdgan":
        return None
    earlier = wiring.generator_half(replace(config, seed=7, device="cpu"), federation.shape).average
    return PreviousTask(earlier, federation.labels)


def require_there(*networks: nn.Module) -> None:
    """Raise RuntimeError if one is not on the device that is wanted: on the CPU everything would go well, too."""
    wanted = resolve_device("auto")
    for network in networks:
        if device_of(network) != wanted:
            raise RuntimeError(f"a network on {device_of(network)}, not on {wanted}")


def require_cpu(*things: Any) -> None:
    """Raise RuntimeError if one is on a device, or has a tensor that is."""
    for each in things:
        parts = vars(each).values() if isinstance(each, Proposal | Question | Answer) else [each]
        for part in parts:
            tensors = vars(part).values() if hasattr(part, "gradients") else [part]
            wrong = [t for t in tensors if isinstance(t, Tensor) and t.device.type != "cpu"]
            if wrong:
                raise RuntimeError(f"{type(each).__name__} with a tensor on {wrong[0].device}")


def one_discriminator_for_all() -> Made:
    """Train the row Syn-All, whose clients lack channels and have levels of their own, and draw from it."""
    config = settings(f"{IMAGES} exchange.rounds=1")
    made = train_here(config, open_federation(config, 2), "Syn-All")
    config = settings("algorithm=dgan exchange.rounds=1")
    federation = open_federation(config, 2)
    labels = (replace(federation.labels[0], channels=(0,)), federation.labels[1])
    return [*_pixels(made), *_pixels(train_here(config, replace(federation, labels=labels), "Syn-All"))]


def federated_rows() -> Made:
    """Train FedGAN, and the classifier of the table by FedAvg."""
    config = settings("algorithm=dgan exchange.rounds=1")
    synthetic, _, _ = fedgan_row.train_fedgan(config, open_federation(config, 2))
    config = settings("data.condition=class model.site_condition=false downstream=classification downstream.steps=2")
    model, _ = fedavg.train_federated(open_federation(config, 2), config, 0)
    return [*_pixels(synthetic), *_weights(model)]


def table_of_classes() -> Made:
    """Train the classifier, which has dropout, and test it."""
    return _table("data.condition=class model.site_condition=false downstream=classification downstream.steps=2")


def table_of_masks() -> Made:
    """Train the segmentation model, which has dropout, and test it."""
    return _table(f"{MASKS} downstream.steps=2")


def _table(overrides: str) -> Made:
    config = settings(f"{overrides} downstream.seeds=1")
    pairs = open_federation(config, 2).real[0]
    made: Made = []

    def look(_: object, model: nn.Module) -> None:
        require_there(model)
        made.extend(_weights(model))

    with computing(config):
        results = train_on_synthetic_test_on_real(
            {"Real-All": pairs},
            pairs,
            config.downstream,
            image_size=config.data.image_size,
            augmentation=config.data.augmentation,
            seed=0,
            on_result=lambda _: None,
            on_model=look,
        )
    return [*made, torch.tensor([*results[0].values.values()])]


def features() -> Made:
    """Look at images with each network that distances are measured by."""
    config = settings(f"{MASKS} downstream.steps=1")
    pairs = open_federation(config, 2).real[0]
    images = pairs.images[:4]
    with computing(config), pytest.MonkeyPatch.context() as patch:
        patch.setattr("flower_dgan.comparison.classifier.STEPS", 3)
        classifier = train_classifier(pairs.images, [index % 2 for index in range(len(pairs))], 2, seed=0)
        model = train_segmenter(pairs, config.downstream, image_size=16, augmentation="none", seed=0)
        with seeded(0, "encoder"):
            encoder = place(open_encoder(config.downstream, 1), device_of(model))
    require_there(classifier.body, classifier.head, model, encoder)
    found = [classifier.features(images), classifier.predict(images)]
    found += [segmenter_features(model)(images), encoder_features(encoder)(images)]
    require_cpu(*found)
    return found


def objects_that_cross() -> Made:
    """Train the model of instances, look at an image with it, and keep it."""
    config = settings("downstream=instances downstream.steps=2 downstream.batch_size=2").downstream
    pairs = _bars()
    with computing(settings("")), tempfile.TemporaryDirectory() as folder:
        training = fit_dense(pairs, config, image_size=32, augmentation="flips", seed=0)
        training.run(config.steps)
        require_there(training.model)
        found = find_objects(training.model, pairs.images[0])
        save_model(Path(folder) / "model.safetensors", training.model, ModelKind(config, 1, 4, 32))
    return [*_weights(training.model), torch.tensor(found.scores)]


def regions_of_objects() -> Made:
    """Train Mask R-CNN with its head for centre lines, and look at an image with it."""
    asked = "downstream=instances downstream.encoder=mask-rcnn downstream.steps=2 downstream.batch_size=2"
    config, pairs = settings(asked).downstream, _bars()
    with computing(settings("")):
        training = fit_mask_rcnn(pairs, config, image_size=32, augmentation="flips", seed=0, detector=small_detector)
        training.run(config.steps)
        require_there(training.model)
        found = find_regions(training.model, pairs.images[0])
    return [*_weights(training.model), torch.tensor(found.scores)]


def _bars() -> Pairs:
    """Return two images of two bars that cross, with their class maps."""
    bars = np.zeros((32, 32), np.uint8)
    bars[8:12, 2:30] = bars[2:30, 14:18] = BODY
    bars[8:12, 14:18], bars[9:11, 2:14], bars[9:11, 18:30] = CROSSING, LINE, LINE
    return Pairs((bars[..., None] * np.uint8(60),) * 2, (bars, bars.T.copy()), 4)


class _Crash(BaseException):
    """The server dies."""


def a_job_that_is_resumed() -> Made:
    """Run the whole job through messages: the server dies in round 2 and goes on, to choice, table and moments."""
    asked = f"{MASKS} downstream.steps=1 downstream.seeds=1 downstream.dist_fid=100"
    asked += " downstream.rows=[DGAN] selection=best selection.checks=1 algorithm=dgan"
    crashes = iter((True,))
    score, look = node_score.score, node_moments.encoder_features

    def score_there(task: Any, model: nn.Module, *rest: Any, **named: Any) -> dict[str, float]:
        require_there(model)
        return score(task, model, *rest, **named)

    def look_there(encoder: nn.Module) -> Any:
        require_there(encoder)
        return look(encoder)

    def client(message: Message, context: Context) -> Message:
        if (
            message.metadata.message_type == EXCHANGE
            and message.content["bundle"]["round"] == 2
            and next(crashes, False)
        ):
            raise _Crash
        return app(message, context)

    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_score, "score", score_there)
        patch.setattr(node_moments, "encoder_features", look_there)
        directory = Path(scratch) / "run"
        grid = InProcessGrid(client, simulated_contexts(2, f"{TINY} {asked}"))  # type: ignore[arg-type]
        try:
            run_job(grid, settings(asked, directory), 1)
        except _Crash:
            run_job(grid, replace(settings(asked), resume=str(directory)), 1)
        checkpoint = max((directory / "checkpoints").glob("*.safetensors"))
        metrics = read_metrics(directory)
        if metrics.missing_moments or any(each.missing for each in metrics.validations):
            raise RuntimeError("a node refused to score, or to look at its images")
        figures = [value for each in metrics.tstr for value in each.values.values()]
        figures += [each.distance for each in metrics.distances]
        figures += [each.score or 0.0 for each in metrics.validations]
        network, _, _ = load_generator(directory / "generator.safetensors")
        return [*_weights(network), *load_file(checkpoint).values(), torch.tensor(figures)]


def drawing() -> Made:
    """Draw a synthetic dataset."""
    config = settings("algorithm=dgan")
    federation = open_federation(config, 2)
    network = wiring.generator_half(config, federation.shape).average
    return _pixels(synthesize(network, federation.labels, bundle_settings(config), 4)[0])


def _pixels(pairs: Pairs) -> Made:
    return [torch.from_numpy(np.stack(pairs.images))]


def _weights(model: nn.Module) -> Made:
    return [value.detach().cpu() for value in model.state_dict().values()]


PATHS: Mapping[str, Callable[[], Made]] = {
    "drawing": drawing,
    **{overrides.partition(" model.")[0]: (lambda chosen=overrides: two_rounds(chosen)) for overrides in ROUNDS},
    "table of classes": table_of_classes,
    "table of masks": table_of_masks,
    "objects that cross": objects_that_cross,
    "regions of objects": regions_of_objects,
    "features": features,
    "federated rows": federated_rows,
    "one discriminator for all": one_discriminator_for_all,
    "a job that is resumed": a_job_that_is_resumed,
}
"""Every path by its name; cheap ones first."""


@contextmanager
def small_perceptual_loss() -> Iterator[None]:
    """Stand in for VGG-16, whose weights are a download: as many layers, of few channels."""
    with seeded(0, "perceptual"):
        layers: Iterable[nn.Module] = [nn.Conv2d(3, 3, 1), *(nn.Conv2d(3, 3, 3, padding=1) for _ in range(22))]
        loss = PerceptualLoss(nn.Sequential(*layers))
    before = perceptual.pretrained_perceptual_loss
    for module in (perceptual, wiring):
        module.pretrained_perceptual_loss = lambda: copy.deepcopy(loss)  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in (perceptual, wiring):
            module.pretrained_perceptual_loss = before
