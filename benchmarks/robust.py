"""TSTR Dice with one bad client of four, for every merge rule.

Trains the algorithm with four clients, the first of which answers as an attack has it, and measures how useful the
synthetic images are: the Dice of a segmentation model trained on them and tested on real images (TSTR). Everything runs
in this process, without Flower. The first client's discriminator is trained as any other; only its answers are bad:

``none``      as they are
``flip``      with the opposite sign
``zeros``     zeros
``replay``    those of the first message, again and again
``noise``     normal noise, as long as the answer
``huge``      100 times as long
``huge-flip`` 100 times as long, with the opposite sign

    python benchmarks/robust.py --output <directory>

writes ``results.jsonl`` line by line, then ``robust.md``. Started again, it goes on from there.
"""

import shlex
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any, get_args

import torch
import typer

from bundles import NUCLEI, score, synthetic_pairs
from common import append_line, natural_clients, read_lines
from flower_dgan.algorithms.asyndgan import AsynDgan, AsynDganSettings
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import LocalFederation, open_federation
from flower_dgan.config import Config, MergeName
from flower_dgan.data import Pairs, open_source
from flower_dgan.gan.bundle import draw_bundle
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Batch, Feedback
from flower_dgan.gan.learning import Step, client_weights
from flower_dgan.gan.merge import merge_rule
from flower_dgan.resolve import resolve
from flower_dgan.wiring import bundle_settings, seeded, threads
from robust_report import table

ATTACKS = ("none", "flip", "zeros", "replay", "noise", "huge", "huge-flip")
CLIENTS = 4


class BadHalf:
    """A client's half that answers with something else than its discriminator's feedback."""

    def __init__(self, half: DiscriminatorHalf, attack: str, exchanges: int) -> None:
        self._half = half
        self.optimizer = half.optimizer
        self._attack = attack
        self._exchanges = exchanges
        self._answers: list[Feedback] = []

    def step(self, real: Batch, batch: Batch) -> float:
        """Step the discriminator, as an honest client does."""
        return self._half.step(real, batch)

    def feedback(self, batch: Batch, paired: torch.Tensor | None = None) -> Feedback:
        """Answer as the attack has it."""
        answer = self._half.feedback(batch, paired)
        self._answers.append(answer)
        if self._attack == "replay":
            return self._answers[(len(self._answers) - 1) % self._exchanges]
        return replace(answer, gradients=falsify(self._attack, answer.gradients))


def falsify(attack: str, gradients: torch.Tensor) -> torch.Tensor:
    """Return what an attack makes of gradients."""
    match attack:
        case "flip":
            return -gradients
        case "zeros":
            return torch.zeros_like(gradients)
        case "noise":
            noise = torch.randn_like(gradients)
            return noise * (gradients.norm() / noise.norm())
        case "huge":
            return 100 * gradients
        case "huge-flip":
            return -100 * gradients
        case _:
            return gradients


class Watched(AsynDgan):
    """AsynDGAN, with the weights that its merge rule gave."""

    def __init__(self, settings: AsynDganSettings) -> None:
        super().__init__(settings)
        self.weights: dict[str, list[float]] = defaultdict(list)

    def learn(self, *arguments: Any) -> Step:
        """Step the generator and note the weights."""
        step = super().learn(*arguments)
        for name, weight in step.weights.items():
            self.weights[name].append(weight)
        return step


def measure(config: Config, federation: LocalFederation, attack: str, test: Pairs) -> dict[str, Any]:
    """Train once, and return Dice, IoU and the mean weight of each client, the first of which is the bad one."""
    settings = config.algorithm
    assert isinstance(settings, AsynDganSettings)
    unbounded = replace(config, algorithm=replace(settings, largest_share=1.0))
    watched, state, sessions = Watched(settings), federation.state(unbounded), federation.sessions(config)
    if attack != "none":
        first = sessions[federation.labels[0].name]
        bad = BadHalf(first.half, attack, config.exchange.exchanges)
        sessions[first.name] = replace(first, half=bad)  # type: ignore[arg-type]
    start = time.monotonic()
    with seeded(config.seed, "robust"):
        train(watched, state, sessions, in_flight=config.exchange.in_flight)
    seconds = time.monotonic() - start
    weights = [mean(watched.weights[labels.name]) for labels in federation.labels]
    scores = score(config, synthetic_pairs(config, federation, state.generator), test)
    return {"seconds": seconds, "weights": weights, **scores}


def server_seconds(config: Config, federation: LocalFederation, rules: list[MergeName], turns: int) -> dict[str, float]:
    """Return the median time of a server's exchange, drawing and stepping, with each rule; the rules take turns."""
    settings = bundle_settings(config)
    discounts = {labels.name: 1.0 for labels in federation.labels}
    states = {rule: federation.state(config) for rule in rules}
    times: dict[str, list[float]] = defaultdict(list)
    for turn in range(turns + 1):
        inputs = [draw_bundle(labels, settings, turn)[1] for labels in federation.labels]
        feedback = [
            Feedback(torch.zeros(len(i)), torch.randn_like(states[rules[0]].generator.propose(i).images))
            for i in inputs
        ]
        for rule, state in states.items():
            start = time.monotonic()
            proposals = [state.generator.propose(each) for each in inputs]
            weights, _ = client_weights(state, discounts, by_samples=rule == "samples")
            merge = merge_rule(rule, state.trust)
            state.generator.apply(proposals, feedback, weights, config.exchange.generator_steps, merge=merge)
            times[rule].append((time.monotonic() - start) / settings.exchanges)
    return {rule: median(seconds[1:]) for rule, seconds in times.items()}


def main(
    output: Annotated[Path, typer.Option(help="Directory of the results; what is there already is not run again.")],
    data: Annotated[str, typer.Option(help="Of digits-iid, digits-label and nuclei.")] = "digits-iid,digits-label",
    attacks: Annotated[str, typer.Option(help="Attacks by the first client.")] = ",".join(ATTACKS),
    rules: Annotated[str, typer.Option(help="Merge rules.")] = ",".join(get_args(MergeName)),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 1,
    turns: Annotated[int, typer.Option(min=1, help="Bundles for the time of the server.")] = 10,
    nuclei: Annotated[Path, typer.Option(help="Folder of the nuclei: images/ and masks/.")] = NUCLEI,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides, for every data set.")] = "",
) -> None:
    """Measure TSTR Dice with each merge rule under each attack."""
    bases = {
        "digits-iid": "partition=iid exchange.rounds=40",
        "digits-label": "partition.label_groups=[[0,1,2],[3,4],[5,6,7],[8,9]] exchange.rounds=40",
        "nuclei": f"data=folder data.root={shlex.quote(str(nuclei))} data.sites=[breast,kidney,liver,prostate]",
    }
    path = output / "results.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    for name in data.split(","):
        first = resolve(f"{bases[name]} {overrides}".strip())
        source = open_source(first.data)
        test = source.load(source.test)
        for seed in range(seeds):
            federation = open_federation(replace(first, seed=seed), natural_clients(first, otherwise=CLIENTS))
            for attack in attacks.split(","):
                for rule in rules.split(","):
                    key = {"kind": "tstr", "data": name, "attack": attack, "rule": rule, "seed": seed}
                    if any(key.items() <= line.items() for line in read_lines(path)):
                        continue
                    config = replace(first, seed=seed, algorithm=replace(first.algorithm, merge=rule))
                    with threads(config.threads):
                        found = measure(config, federation, attack, test)
                    append_line(path, {**key, **found})
                    print({**key, **found}, flush=True)
        if not any(line["kind"] == "time" and line["data"] == name for line in read_lines(path)):
            with threads(first.threads):
                seconds = server_seconds(first, federation, list(get_args(MergeName)), turns)
            append_line(path, {"kind": "time", "data": name, "seconds": seconds})
    (output / "robust.md").write_text(table(read_lines(path)), encoding="utf-8")
    print(f"{output / 'robust.md'}")


if __name__ == "__main__":
    typer.run(main)
