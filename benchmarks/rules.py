"""Rules for the use of one message: the shipped one, and others that were tried and did not earn their place.

    python benchmarks/rules.py --output <directory> --data nuclei

trains with the shipped exchanges and generator steps a message, in this process, under each rule, and measures TSTR
Dice after some numbers of messages. All keep the contract: nothing more crosses the wire.

shipped
    Discriminator step and feedback in turn; the feedback is used as ``algorithm.replay`` says.
first, first-few
    The discriminator is stepped on the whole bundle; then all feedback is of what became of it. ``first-few`` replays
    the gradients in 4 generator steps at twice the learning rate.
hinge, r1, spectral
    In turn, with a discriminator that is kept smooth: hinge loss; a gradient penalty on real images (R1, Mescheder
    2018, gamma 1) after one step in sixteen, sixteen times as strong (lazy, Karras 2020); spectral norm (Miyato 2018).
surrogate
    The server fits a network of its own for each client to the losses and gradients that came back (a Sobolev fit), and
    steps the generator against it, held near the images that were judged.
other-replay
    Target images where gradients ship and gradients where target images do.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from bundles import NUCLEI, base_overrides, score, synthetic_pairs
from common import append_line, natural_clients, read_lines
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.rows import LocalFederation, open_federation
from flower_dgan.config import Config
from flower_dgan.data import Pairs, open_source
from flower_dgan.errors import DganError
from flower_dgan.gan.discriminator import DiscriminatorHalf, generator_losses
from flower_dgan.gan.exchange import Batch, Feedback, Proposal, concatenate
from flower_dgan.gan.generator import AddedLoss
from flower_dgan.gan.merge import MergeRule, Weights
from flower_dgan.gan.session import Session
from flower_dgan.resolve import resolve
from flower_dgan.wiring import discriminator_half, generator_half, seeded, threads

OTHER = {"gradient": "algorithm.replay=target algorithm.target_step=0.1", "target": "algorithm.replay=gradient"}
RULES = {
    "shipped": "",
    "first": "",
    "first-few": "algorithm.replay=gradient exchange.generator_steps=4 algorithm.generator_learning_rate={double}",
    "hinge": "algorithm.loss=hinge",
    "r1": "",
    "spectral": "",
    "surrogate": "algorithm.replay=gradient",
    "other-replay": "{other}",
}
_LAZINESS, _GAMMA = 16, 1.0
_FITS, _TRUST = 2, 0.1


def batches(bundle: Batch, size: int) -> list[slice]:
    """Return where the batches of a bundle are."""
    return [slice(start, start + size) for start in range(0, len(bundle), size)]


class DiscriminatorFirst:
    """Takes a whole bundle as one batch: all its steps, then all its feedback."""

    def __init__(self, half: DiscriminatorHalf, batch_size: int) -> None:
        self._half = half
        self.optimizer = half.optimizer
        self._size = batch_size

    def step(self, real: Batch, bundle: Batch) -> float:
        """Step on each batch."""
        return fmean(self._half.step(real[part], bundle[part]) for part in batches(bundle, self._size))

    def feedback(self, bundle: Batch, paired: Tensor | None = None) -> Feedback:
        """Give feedback on each batch."""
        parts = batches(bundle, self._size)
        return concatenate(
            [self._half.feedback(bundle[part], None if paired is None else paired[part]) for part in parts]
        )


class LazyR1:
    """Steps on gamma / 2 times the squared gradient at real images too, after one step in sixteen."""

    def __init__(self, half: DiscriminatorHalf) -> None:
        self._half = half
        self.optimizer = half.optimizer
        self._steps = 0
        self.feedback = half.feedback

    def step(self, real: Batch, batch: Batch) -> float:
        """Step on the batch, and now and then on the penalty."""
        loss = self._half.step(real, batch)
        self._steps += 1
        if self._steps % _LAZINESS == 0:
            images = real.images.detach().requires_grad_(True)
            logits = self._half.network(real.label_maps, images).flatten(1).mean(1)
            (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
            self._half.optimizer.zero_grad(set_to_none=True)
            (_LAZINESS * _GAMMA / 2 * gradient.square().flatten(1).sum(1).mean()).backward()
            self._half.optimizer.step()
        return loss


class Surrogate:
    """A generator half that steps against the server's own copies of what the discriminators answered."""

    def __init__(self, config: Config, federation: LocalFederation) -> None:
        self.half = generator_half(config, federation.shape)
        self.propose, self.for_each = self.half.propose, self.half.for_each
        self._halves = [discriminator_half(config, federation.shape, f"surrogate {s}") for s in federation.shape.sites]

    def keep(self, proposal: Proposal) -> Proposal:
        """Return all of it: the surrogates are fitted on its images."""
        return proposal

    def _losses(
        self, half: DiscriminatorHalf, images: Tensor, proposal: Proposal, part: slice
    ) -> tuple[Tensor, Tensor]:
        batch = Batch(images, proposal.inputs(part).label_maps)
        losses = generator_losses(half.network, half.loss, half.generator_weight, None, batch)
        return losses, torch.autograd.grad(losses.sum(), images, create_graph=True)[0]

    def apply(
        self,
        proposals: Sequence[Proposal],
        feedback: Sequence[Feedback],
        weights: Weights,
        steps: int,
        rate: float = 1.0,
        *,
        merge: MergeRule,
        added: AddedLoss | None,
    ) -> Weights:
        """Fit the surrogates, then step the generator on their gradients at its present images."""
        size = len(proposals[0]) // steps
        parts = [slice(step * size, (step + 1) * size) for step in range(steps)]
        for half, proposal, answer in zip(self._halves, proposals, feedback, strict=True):
            for part in parts * _FITS:
                images = proposal.images[part].clone().requires_grad_(True)
                losses, gradients = self._losses(half, images, proposal, part)
                wanted = answer.gradients[part]
                loss = F.mse_loss(losses, answer.losses[part]) + F.mse_loss(gradients, wanted) / wanted.square().mean()
                half.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                half.optimizer.step()
        for part in parts:
            now = [Proposal.of(p.inputs(part), p.images[part], p.drawn_at) for p in proposals]
            answers = []
            for half, proposal, given in zip(self._halves, proposals, now, strict=True):
                images = self.half.propose(given.inputs()).images.requires_grad_(True)
                losses, gradients = self._losses(half, images, proposal, part)
                away = (images - given.images) / _TRUST * gradients.square().mean().sqrt()
                answers.append(Feedback(losses.detach(), (gradients + away).detach()))
            self.half.apply(now, answers, weights, 1, rate, merge=merge, added=added)
        return weights


def with_spectral_norm(half: DiscriminatorHalf, config: Config) -> DiscriminatorHalf:
    """Return the half with every convolution divided by its largest singular value."""
    for module in half.network.modules():
        if isinstance(module, nn.Conv2d):
            spectral_norm(module)
    rate, betas = config.algorithm.discriminator_learning_rate, config.algorithm.betas
    return replace(half, optimizer=torch.optim.Adam(half.network.parameters(), rate, betas))


def with_rule(rule: str, session: Session, config: Config) -> Session:
    """Return the client with the rule's discriminator."""
    if rule.startswith("first"):
        whole = DiscriminatorFirst(session.half, config.exchange.batch_size)
        return replace(session, half=whole, batch_size=config.exchange.exchanges * config.exchange.batch_size)  # type: ignore[arg-type]
    if rule == "r1":
        return replace(session, half=LazyR1(session.half))  # type: ignore[arg-type]
    if rule == "spectral":
        return replace(session, half=with_spectral_norm(session.half, config))
    return session


def measure(rule: str, config: Config, federation: LocalFederation, test: Pairs, marks: list[int]) -> dict[int, float]:
    """Train under a rule and return Dice by messages."""
    config = replace(
        config,
        algorithm=replace(config.algorithm, final_rate=1.0),
        exchange=replace(config.exchange, rounds=marks[-1]),
    )
    sessions = {name: with_rule(rule, each, config) for name, each in federation.sessions(config).items()}
    state = federation.state(config)
    if rule.startswith("first"):
        bundles = state.bundles
        state.bundles = replace(bundles, exchanges=1, batch_size=bundles.exchanges * bundles.batch_size)
    half = state.generator
    if rule == "surrogate":
        surrogate = Surrogate(config, federation)
        half = surrogate.half
        state.generator = surrogate  # type: ignore[assignment]
    found: dict[int, float] = {}

    def after_round(messages: int) -> None:
        if messages in marks:
            found[messages] = score(config, synthetic_pairs(config, federation, half), test)["dice"]

    with threads(config.threads), seeded(config.seed, "rules"):
        train(algorithm_of(config), state, sessions, after_round=after_round)
    return found


def table(lines: list[dict[str, Any]], marks: list[int]) -> str:
    """Return Markdown: a row a rule, a column a number of messages."""
    rows = ["| rule | " + " | ".join(map(str, marks)) + " |", "|---" * (len(marks) + 1) + "|"]
    for rule in dict.fromkeys(line["rule"] for line in lines):
        cells = []
        for mark in marks:
            dice = [line["dice"][str(mark)] for line in lines if line["rule"] == rule and str(mark) in line["dice"]]
            spread = f" ± {stdev(dice):.3f}" if len(dice) > 1 else ""
            cells.append(f"{fmean(dice):.3f}{spread}" if dice else "-")
        rows.append(f"| {rule} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main(
    output: Annotated[Path, typer.Option(help="Directory of the results; what is there already is not run again.")],
    data: Annotated[str, typer.Option(help="digits or nuclei.")],
    rules: Annotated[str, typer.Option(help="Which rules.")] = ",".join(RULES),
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    checkpoints: Annotated[str, typer.Option(help="Messages a client after which to measure.")] = "2,5,10",
    nuclei: Annotated[Path, typer.Option(help="Folder of the nuclei: images/ and masks/.")] = NUCLEI,
    overrides: Annotated[str, typer.Option(help="More Hydra overrides.")] = "",
) -> None:
    """Compare rules for the use of one message."""
    marks = sorted({int(mark) for mark in checkpoints.split(",")})
    base = f"{base_overrides(nuclei)[data]} {overrides}".strip()
    path = output / f"{data}.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    try:
        first = resolve(base)
        double = 2 * first.algorithm.generator_learning_rate
        source = open_source(first.data)
        test = source.load(source.test)
        federation = open_federation(first, natural_clients(first, otherwise=2))
        for seed in range(seeds):
            for rule in rules.split(","):
                extra = RULES[rule].format(double=double, other=OTHER[first.algorithm.replay])
                if not any(line["rule"] == rule and line["seed"] == seed for line in read_lines(path)):
                    config = replace(resolve(f"{base} {extra}"), seed=seed)
                    dice = measure(rule, config, federation, test, marks)
                    append_line(path, {"rule": rule, "seed": seed, "dice": dice})
                    print(rule, seed, dice, flush=True)
    except DganError as error:
        print(f"Not measured. {error}")
        raise typer.Exit(1) from error
    print(table(read_lines(path), marks))


if __name__ == "__main__":
    typer.run(main)
