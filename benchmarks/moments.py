"""What a release with noise is worth: accuracy of a classifier trained on what a generator made of it.

    python benchmarks/moments.py --epsilon 3 --seeds 3
    python benchmarks/moments.py --epsilon 3 --clients 8            # each with noise of its own
    python benchmarks/moments.py --epsilon 3 --clients 8 --together # one sum behind masks, shares of the noise
    python benchmarks/moments.py --epsilon 3 --validation algorithm.bandwidth=0.3      # to choose settings

No Flower: the sums are those of the nodes, the steps those of the server. `--validation` scores on a fifth of the
training images, which are then left out of training; without it the test images are scored, which no setting was
chosen on. Accuracy is plain: the classifier's images are not changed. CPU seconds are of sums, noise and generator
steps, without the classifier. With several clients each draws noise of its own; `--together`, a share for as many
honest sites as there are, and the server adds up what each hides behind masks with keys of its own.
"""

import argparse
import os
import time
from dataclasses import replace

import numpy as np
import torch

from flower_dgan.algorithms.dpmerf import DpMerf
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.config import Config
from flower_dgan.data import Entry, Pairs, open_source
from flower_dgan.federation.join import JoinedClient
from flower_dgan.federation.noisy_start import start_from, start_of
from flower_dgan.gan.bundle import ClientLabels
from flower_dgan.networks.build import ImageShape
from flower_dgan.node.noisy_sums import layout_of, sum_of
from flower_dgan.node.privacy_book import patients_of
from flower_dgan.privacy.class_sums import in_units
from flower_dgan.privacy.masks import add_up, digest_of, mask, public_key
from flower_dgan.privacy.noise import noisy, seeded_bytes
from flower_dgan.randomness import derive_seed
from flower_dgan.resolve import resolve
from flower_dgan.synthesis import synthesize
from flower_dgan.tasks.tstr import train_on_synthetic_test_on_real
from flower_dgan.wiring import bundle_settings, computing, server_state

BASE = "privacy=moments data.condition=class data.classes=10 downstream=classification partition=iid"


def hidden(words: dict[str, np.ndarray]) -> np.ndarray:
    """Return the sum of what sites send behind masks, as the server gets it."""
    private = {name.encode(): os.urandom(32) for name in words}
    keys = {name: public_key(each) for name, each in private.items()}
    digest = digest_of(b"benchmark", keys)
    return add_up(
        [
            each.view(np.uint64)
            + mask(private[name.encode()], name.encode(), keys, digest, each.size).reshape(each.shape)
            for name, each in words.items()
        ]
    )


def accuracy(config: Config, clients: int, seed: int, validation: bool) -> tuple[float, float, float]:
    """Return accuracy, signal to noise of the sum of all, and CPU seconds."""
    source = open_source(config.data)
    train, test = list(source.train), list(source.test)
    if validation:
        train, test = train[len(train) // 5 :], train[: len(train) // 5]
    begin = time.process_time()
    algorithm = algorithm_of(config)
    assert isinstance(algorithm, DpMerf)
    steps, exact, sigma = {}, [], algorithm.share
    with computing(config):
        for client in range(clients):
            part: list[Entry] = train[client::clients]
            pairs: Pairs = source.load(part)
            layout = layout_of(algorithm, config)
            patients = patients_of([entry.group for entry in part])
            total = sum_of(algorithm, layout, pairs, patients, config)
            exact.append(total)
            secret = seeded_bytes(derive_seed(seed, "noise", client))
            steps[f"{client:02}"] = noisy(total, sigma, secret)
        blank = (np.zeros((config.data.image_size,) * 2, np.uint8),)
        joined = [JoinedClient(i, True, ClientLabels(n, blank, layout.classes, i)) for i, n in enumerate(sorted(steps))]
        if algorithm.releases.masked:
            together = in_units(hidden(steps))
            each = dict.fromkeys(steps, layout.counts(together).sum() / clients)
            start = start_of(together, each, joined, config, layout, sigma * clients**0.5)
        else:
            start = start_from({name: in_units(each) for name, each in steps.items()}, joined, config, layout, sigma)
        labels = {client.name: client.labels for client in start.clients}
        shape = ImageShape(layout.classes, config.data.channels, config.data.image_size, tuple(labels))
        state = server_state(config, shape, labels)
        state.parameters = start.kept
        for round_number in range(1, config.exchange.rounds + 1):
            algorithm.learn(state, round_number, {}, {}, {})
        seconds = time.process_time() - begin
        drawn, _ = synthesize(state.generator.average, list(labels.values()), bundle_settings(config), 3000)
    results = train_on_synthetic_test_on_real(
        {"DGAN": drawn},
        source.load(test),
        config.downstream,
        image_size=config.data.image_size,
        augmentation=config.data.augmentation,
        seed=seed,
        on_result=lambda _: None,
    )
    signal = layout.signal_to_noise(np.sum(exact, axis=0), sigma * clients**0.5)
    return results[0].values["accuracy"], signal, seconds


def main() -> None:
    """Print a line for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_args()
    base = BASE
    if given.together:
        base = BASE.replace("moments", f"moments-together algorithm.honest_sites={given.clients}")
    overrides = " ".join([base, f"algorithm.epsilon={given.epsilon:g}", *given.overrides])
    for seed in range(given.seeds):
        config = replace(resolve(overrides), seed=seed)
        found, signal, seconds = accuracy(config, given.clients, seed, given.validation)
        print(
            f"epsilon {given.epsilon:g}, {given.clients} clients{' together' * given.together}, seed {seed}: "
            f"accuracy {found:.3f}; "
            f"signal to noise {signal:.2g}; {seconds:.0f} CPU s  {' '.join(given.overrides)}",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
