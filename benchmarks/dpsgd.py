"""What private discriminators are worth: accuracy of a classifier trained on what a generator learned from them.

    python benchmarks/dpsgd.py --epsilon 3
    python benchmarks/dpsgd.py --epsilon 10 --seeds 3
    python benchmarks/dpsgd.py --epsilon 3 --clients 2
    python benchmarks/dpsgd.py --epsilon 3 --validation algorithm.clip=0.3             # to choose settings

No Flower: the steps are those of nodes and server, the draws those of a simulation. `--validation` scores on a fifth of
the training images, which are then left out of training; without it the test images are scored, which no setting was
chosen on. Accuracy is plain: the classifier's images are not changed. CPU seconds are of the training, without the
classifier. Each client has an image a patient.
"""

import argparse
import time
from dataclasses import replace

import torch

from flower_dgan.algorithms.dpgan import DpGan
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.config import Config
from flower_dgan.data import open_source
from flower_dgan.federation.join import uniform_maps
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.networks.build import ImageShape
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import synthesize
from flower_dgan.tasks.tstr import train_on_synthetic_test_on_real
from flower_dgan.wiring import bundle_settings, computing, discriminator_half, server_state, session_of

BASE = "privacy=dp-sgd data.condition=class data.classes=10 downstream=classification partition=iid"


def accuracy(config: Config, clients: int, seed: int, validation: bool) -> tuple[float, float]:
    """Return accuracy and CPU seconds."""
    source = open_source(config.data)
    entries, test = list(source.train), list(source.test)
    if validation:
        entries, test = entries[len(entries) // 5 :], entries[: len(entries) // 5]
    begin = time.process_time()
    classes, side = config.data.classes or 1, config.data.image_size
    names = [f"{client:02}" for client in range(clients)]
    maps = uniform_maps(classes, side)
    labels = {name: ClientLabels(name, maps[:1], classes, index, maps) for index, name in enumerate(names)}
    shape = ImageShape(classes, config.data.channels, side, tuple(names))
    with computing(config):
        sessions = {
            name: session_of(
                config,
                name,
                source.load(entries[index::clients]),
                discriminator_half(config, replace(shape, sites=()), name),
                seed,
            )
            for index, name in enumerate(names)
        }
        state = server_state(config, shape, labels)
        train(algorithm_of(config), state, sessions)
        seconds = time.process_time() - begin
        drawn, _ = synthesize(state.generator.average, list(labels.values()), bundle_settings(config), 3000)
    results = train_on_synthetic_test_on_real(
        {"DGAN": drawn},
        source.load(test),
        config.downstream,
        image_size=side,
        augmentation=config.data.augmentation,
        seed=seed,
        on_result=lambda _: None,
    )
    return results[0].values["accuracy"], seconds


def main() -> None:
    """Print a line for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_args()
    overrides = " ".join([BASE, f"algorithm.epsilon={given.epsilon:g}", *given.overrides])
    for seed in range(given.seeds):
        config = replace(resolve(overrides), seed=seed)
        algorithm = algorithm_of(config)
        assert isinstance(algorithm, DpGan)
        (steps,) = algorithm.drawn_releases(config)
        found, seconds = accuracy(config, given.clients, seed, given.validation)
        print(
            f"epsilon {given.epsilon:g}, {given.clients} clients, seed {seed}: accuracy {found:.3f}; noise "
            f"{steps.sigma:.3g} in each of {steps.steps} steps; {seconds:.0f} CPU s  {' '.join(given.overrides)}",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
