"""The papers' formulas on numbers computed by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from flower_dgan.algorithms.distributed_gan import (
    Selective,
    SelectiveSettings,
    average,
    keep_largest,
    select,
    whose_turn,
)
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.gman import softmax
from flower_dgan.algorithms.judging_together import JudgingTogether
from flower_dgan.algorithms.mdgan import batches_of
from flower_dgan.algorithms.uagan import class_shares, odds
from flower_dgan.data import Pairs
from flower_dgan.data.augmentation import to_one_hot
from flower_dgan.errors import FederationError, PolicyError, ProtocolError
from flower_dgan.gan.bundle import BundleSettings, ClientLabels, draw_bundle, draw_shared
from flower_dgan.gan.common_scores import merge_scores
from flower_dgan.gan.discriminator import DiscriminatorHalf
from flower_dgan.gan.exchange import Answer, Feedback, GeneratorInput, Proposal, Question
from flower_dgan.gan.losses import LOSSES
from flower_dgan.gan.server_state import ServerState
from flower_dgan.gan.session import Session
from flower_dgan.resolve import resolve
from tests.states import state_of

CROSS_ENTROPY = LOSSES["bce"].generator


def logits(*probabilities: float) -> torch.Tensor:
    """Return a column of logits, (clients, 1)."""
    return torch.tensor([[math.log(p / (1 - p))] for p in probabilities])


def test_average_is_the_loss_of_the_mean_probability() -> None:
    torch.testing.assert_close(average(logits(0.9, 0.1), CROSS_ENTROPY), -torch.tensor([0.5]).log())
    torch.testing.assert_close(average(logits(0.9, 0.5, 0.1, 0.5), CROSS_ENTROPY), -torch.tensor([0.5]).log())


def test_average_bears_discriminators_that_are_sure() -> None:
    torch.testing.assert_close(average(torch.tensor([[200.0], [-200.0]]), CROSS_ENTROPY), torch.tensor([math.log(2)]))


def selective(**settings: str | float) -> SelectiveSettings:
    shipped = resolve("algorithm=dgan-selective").algorithm
    assert isinstance(shipped, SelectiveSettings)
    return replace(shipped, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "uploaded"),
    [
        ({"upload_share": 0.4}, [0.0, -5.0, 0.0, 4.0, 0.0]),
        ({"upload_share": 0.41}, [3.0, -5.0, 0.0, 4.0, 0.0]),  # 2.05 entries are 3; of 3 and -3 the first
        ({"upload_share": 1.0}, [3.0, -5.0, 0.5, 4.0, -3.0]),
        ({"upload": "threshold", "upload_threshold": 3.0}, [3.0, -5.0, 0.0, 4.0, -3.0]),
        ({"upload": "threshold", "upload_threshold": 6.0}, [0.0] * 5),
    ],
)
def test_users_upload_what_is_selected(settings: dict[str, str | float], uploaded: list[float]) -> None:
    change = torch.tensor([3.0, -5.0, 0.5, 4.0, -3.0])
    kept = select(change, selective(**settings), torch.Generator())
    torch.testing.assert_close(kept, torch.tensor(uploaded), rtol=0, atol=0)


def test_users_upload_entries_at_random_places() -> None:
    change, algorithm = torch.arange(1.0, 101.0), selective(upload="random", upload_share=0.25)
    first, again, other = (select(change, algorithm, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert int((first != 0).sum()) == 25
    torch.testing.assert_close(first[first != 0], change[first != 0], rtol=0, atol=0)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_the_largest_change_of_each_weight_is_kept() -> None:
    changes = [torch.tensor(each) for each in ([1.0, 0.0, -2.0, 0.0], [-3.0, 0.5, 2.0, 0.0], [2.0, -1.0, 1.0, 0.0])]
    torch.testing.assert_close(keep_largest(changes), torch.tensor([-3.0, -1.0, -2.0, 0.0]), rtol=0, atol=0)


class Slope(nn.Module):
    """D(y, x) = a mean(x) + b."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.tensor([7.0]))

    def forward(self, label_maps: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        return self.a * images.flatten(1).mean(1, keepdim=True) + self.b


def slope_half() -> DiscriminatorHalf:
    network = Slope()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return DiscriminatorHalf(network, optimizer, LOSSES["wasserstein"], 1.0, 1.0, None, steps=3)


def white(images: int = 1) -> Pairs:
    """Return real pairs of images that are 1 in every pixel."""
    return Pairs((np.full((8, 8, 1), 255, np.uint8),) * images, (np.zeros((8, 8), np.uint8),) * images, 2)


def slope_session(pairs: Pairs, batch_size: int = 1) -> Session:
    return Session("a", pairs, slope_half(), 8, batch_size, "none", rounds=1, secret=0)


def question(*levels: float, weights: dict[str, np.ndarray] | None = None) -> Question:
    """Ask about images of these levels, made from label maps of class 0."""
    images = torch.tensor(levels)[:, None, None, None].expand(-1, 1, 8, 8)
    return Question(images, label_maps=np.zeros((len(levels), 8, 8), np.uint8), weights=weights)


def slope(a: float, b: float) -> dict[str, np.ndarray]:
    return {"a": np.array([a], np.float32), "b": np.array([b], np.float32)}


def test_a_users_change_is_that_of_all_its_steps_from_the_weights_that_it_was_sent() -> None:
    """L = a (mean of fake - mean of real), and b cancels: 3 steps of 0.1 on each of two batches, 0.5 and 0.25 apart."""
    algorithm, session = Selective(selective(upload_share=1.0)), slope_session(white())
    for _ in range(2):
        answer = algorithm.answer(session, 1, question(0.5, 0.75, weights=slope(2.0, 7.0)))
        assert answer.change is not None
        torch.testing.assert_close(answer.change, torch.tensor([3 * 0.1 * 0.5 + 3 * 0.1 * 0.25, 0.0]))
        # before the third step a is 2.1 and 2.2
        assert answer.discriminator_loss == pytest.approx((-2.1 * 0.5 - 2.2 * 0.25) / 2)
        assert len(answer.feedback.losses) == 0
    with pytest.raises(ProtocolError, match="without the discriminator whose change is to be uploaded"):
        algorithm.answer(session, 1, question(0.5))


def selective_state() -> ServerState:
    clients = {name: ClientLabels(name, (np.zeros((8, 8), np.uint8),), 2, 0) for name in "ab"}
    state = state_of(clients, batch_size=1, make_discriminator=lambda _: slope_half())
    Selective(selective()).begin(state)
    return state


def learn_changes(state: ServerState, **changes: tuple[float, float]) -> torch.Tensor:
    """Let the server learn; return the losses of the generator, whose image is 0.5 in every pixel."""
    inputs = GeneratorInput(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2), torch.zeros(1, 1, 8, 8), torch.zeros(1).long())
    proposal = Proposal.of(inputs, torch.full((1, 1, 8, 8), 0.5), 0)
    nothing = Feedback(torch.zeros(0), torch.zeros(0, 1, 8, 8))
    answers = {name: Answer(nothing, 0.0, change=torch.tensor(change)) for name, change in changes.items()}
    discounts = dict.fromkeys(answers, 1.0)
    step = Selective(selective()).learn(state, 1, dict.fromkeys(answers, proposal), answers, discounts)
    assert set(step.losses) == set(changes)
    return step.losses["a"]


def test_the_servers_discriminator_learns_the_largest_changes_and_judges() -> None:
    state = selective_state()
    before = {name: value.clone() for name, value in state.generator.network.state_dict().items()}
    # D is 2 x + 7 at the beginning, and 0 x + 7.25 afterwards: W-GAN's loss is -D
    losses = learn_changes(state, a=(1.0, 0.25), b=(-2.0, 0.0))
    torch.testing.assert_close(losses, torch.tensor([-7.25]).double())
    ((_, proposal, asked), _) = Selective(selective()).ask(state, 2, ["a", "b"])
    assert asked.weights is not None
    assert {name: value.tolist() for name, value in asked.weights.items()} == {"a": [0.0], "b": [7.25]}
    torch.testing.assert_close(asked.images, proposal.images, rtol=0, atol=0)
    # its gradient -a was 0; with a = 0.5 the generator moves
    learn_changes(state, a=(0.5, 0.0))
    after = state.generator.network.state_dict()
    assert any(not torch.equal(after[name], value) for name, value in before.items())


def test_changes_that_are_finite_may_still_be_too_large() -> None:
    state = selective_state()
    state.parameters["server"] = slope(3e38, 3e38)
    with pytest.raises(FederationError, match="changes were too large"):
        learn_changes(state, a=(3e38, 3e38))


def test_turns_go_round() -> None:
    assert [whose_turn("abc", number) for number in range(1, 6)] == ["a", "b", "c", "a", "b"]


def test_odds_are_added_up_by_share() -> None:
    """Odds 9 and 1/9 with shares 3/4 and 1/4 are 6.75 + 1/36, and D = odds / (1 + odds)."""
    total = 6.75 + 1 / 36
    shares = torch.tensor([[0.75], [0.25]])
    torch.testing.assert_close(
        odds(logits(0.9, 0.1), shares, CROSS_ENTROPY), -torch.tensor([total / (1 + total)]).log()
    )


def test_the_odds_of_the_best_discriminators_are_those_of_the_best_one_for_all_data() -> None:
    """UA-GAN's theorem at one point: densities 0.2 and 0.6 at the clients, 0.4 of the generator, shares 1/4 and 3/4."""
    local = logits(0.2 / 0.6, 0.6 / 1.0)
    pooled = 0.25 * 0.2 + 0.75 * 0.6
    loss = odds(local, torch.tensor([[0.25], [0.75]]), CROSS_ENTROPY)
    torch.testing.assert_close(loss, -torch.tensor([pooled / (pooled + 0.4)]).log())


def test_class_shares() -> None:
    """Client a has two 0 and one 1, client b three 1; nobody has a 2."""
    clients = [
        ClientLabels(name, tuple(np.full((2, 2), value, np.uint8) for value in values), 3, 0)
        for name, values in (("a", (0, 0, 1)), ("b", (1, 1, 1)))
    ]
    label_maps = to_one_hot(np.array([[[0]], [[1]], [[2]]], np.uint8), 3)
    expected = torch.tensor([[1.0, 0.25, 0.5], [0.0, 0.75, 0.5]])
    torch.testing.assert_close(class_shares(clients, label_maps), expected)
    by_class, by_images = (
        judging(f"downstream=none data.condition=class algorithm=uagan algorithm.merge={merge}")
        for merge in ("odds-by-class", "odds")
    )
    torch.testing.assert_close(by_class.shares(clients, {}, label_maps, 1.0), expected)
    shares = by_images.shares(clients, {"a": 0.75, "b": 0.25}, label_maps, 1.0)
    torch.testing.assert_close(shares, torch.tensor([[0.75] * 3, [0.25] * 3]))


def judging(overrides: str) -> JudgingTogether:
    algorithm = algorithm_of(resolve(overrides))
    assert isinstance(algorithm, JudgingTogether)
    return algorithm


@pytest.mark.parametrize(("algorithm", "weight"), [("uagan", 0.25), ("gman", 0.5), ("dgan-average", 0.5)])
def test_who_counts_by_images(algorithm: str, weight: float) -> None:
    """Client a has one image, b three: UA-GAN alone counts them."""
    maps = (np.zeros((8, 8), np.uint8),)
    state = state_of({"a": ClientLabels("a", maps, 2, 0), "b": ClientLabels("b", 3 * maps, 2, 0)})
    merging = judging(f"algorithm={algorithm}")
    questions = list(merging.ask(state, 1, ["a", "b"]))
    answers = {name: Answer(Feedback(torch.zeros(2), torch.ones(2, 1, 8, 8)), 0.0) for name, *_ in questions}
    proposals = {name: proposal for name, proposal, _ in questions}
    assert proposals["a"] is proposals["b"]
    step = merging.learn(state, 1, proposals, answers, {"a": 1.0, "b": 1.0})
    assert step.weights == {"a": weight, "b": 1 - weight}
    assert state.generator.steps_done == 1
    # the loss that each client's own scores make, logits of 0
    torch.testing.assert_close(step.losses["b"], torch.full((2,), math.log(2)).double())


def test_weights_are_those_of_the_clients_in_whatever_order_answers_came() -> None:
    """Client a has one image, b three, and b's answer came first."""
    maps = (np.zeros((8, 8), np.uint8),)
    learned = []
    for order in ("ab", "ba"):
        torch.manual_seed(0)
        state = state_of({"a": ClientLabels("a", maps, 2, 0), "b": ClientLabels("b", 3 * maps, 2, 0)})
        merging = judging("algorithm=uagan")
        proposals = {name: proposal for name, proposal, _ in merging.ask(state, 1, ["a", "b"])}
        said = {"a": 3.0, "b": -3.0}
        answers = {
            name: Answer(Feedback(torch.full((2,), said[name]), torch.full((2, 1, 8, 8), said[name])), 0.0)
            for name in proposals
        }
        step = merging.learn(state, 1, proposals, answers, dict.fromkeys(order, 1.0))
        assert step.weights == {"a": 0.25, "b": 0.75}
        learned.append([parameter.grad.clone() for parameter in state.generator.network.parameters()])
    for first, second in zip(*learned, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_softmax_between_mean_and_maximum() -> None:
    """Losses (1, 3) and (2, 6) of two discriminators on a minibatch of two: V = 2 and 4."""
    scores = -torch.tensor([[1.0, 3.0], [2.0, 6.0]])
    hinge = LOSSES["hinge"].generator
    torch.testing.assert_close(softmax(scores, hinge, 0.0), torch.tensor([1.5, 4.5]))
    torch.testing.assert_close(softmax(scores, hinge, math.inf), torch.tensor([2.0, 6.0]))
    share = math.exp(4) / (math.exp(2) + math.exp(4))
    expected = torch.tensor([(1 - share) * 1 + share * 2, (1 - share) * 3 + share * 6])
    torch.testing.assert_close(softmax(scores, hinge, 1.0), expected)


def test_softmax_weights_are_constants_in_the_gradient() -> None:
    scores = torch.tensor([[1.0], [0.0]], requires_grad=True)
    softmax(scores, LOSSES["hinge"].generator, 1.0).sum().backward()
    share = 1 / (1 + math.exp(1))
    torch.testing.assert_close(scores.grad, -torch.tensor([[share], [1 - share]]))


def test_workers_get_two_batches_in_turn() -> None:
    assert [batches_of(worker, 3) for worker in range(4)] == [(0, 1), (1, 2), (2, 0), (0, 1)]
    assert batches_of(5, 1) == (0, 0)


@pytest.mark.parametrize("overrides", ["dgan-average", "uagan", "gman algorithm.sharpness=2"])
def test_the_chain_rule_over_the_clients_is_that_of_one_graph(overrides: str) -> None:
    """Three linear discriminators s_k = a_k . x in float64, in one graph and by scores and gradients alone.

    The first one's client lacks channel 1.
    """
    algorithm = judging(f"downstream=none algorithm={overrides}")
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 2, 3, 3, generator=generator, dtype=torch.float64)
    directions = torch.randn(3, 2, 3, 3, generator=generator, dtype=torch.float64)
    directions[0, 1] = 0
    shares = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)[:, None].expand(-1, 5)

    def rule(scores: torch.Tensor) -> torch.Tensor:
        return algorithm.loss_of(scores, shares, CROSS_ENTROPY)

    joint = images.clone().requires_grad_(True)
    scores = torch.einsum("nchw,kchw->kn", joint, directions)
    losses = 0.7 * rule(scores)
    losses.sum().backward()
    answers = [Feedback(each.detach(), a.expand(5, -1, -1, -1)) for each, a in zip(scores, directions, strict=True)]
    answers[0] = Feedback(answers[0].losses, answers[0].gradients[:, :1], channels=(0,))
    merged = merge_scores(rule, answers, 0.7, channels=2)
    torch.testing.assert_close(merged.losses, losses.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(merged.gradients, joint.grad, rtol=1e-10, atol=1e-12)


def test_shared_bundles_are_drawn_from_all_clients() -> None:
    clients = [
        ClientLabels(f"client-{site}", tuple(np.full((8, 8), site, np.uint8) for _ in range(20)), 3, site)
        for site in range(3)
    ]
    settings = BundleSettings(4, 15, 8, "none", 2, seed=1)
    inputs = draw_shared(clients, settings, 5, 0)
    assert inputs.label_maps.shape == (60, 3, 8, 8)
    # the label map of a client holds its site, in every pixel
    torch.testing.assert_close(inputs.label_maps[:, :, 0, 0].argmax(1), inputs.sites)
    assert set(inputs.sites.tolist()) == {0, 1, 2}
    assert not torch.equal(inputs.noise, draw_shared(clients, settings, 5, 1).noise)
    assert not torch.equal(inputs.noise, draw_shared(clients, settings, 6, 0).noise)
    again = draw_shared(clients, settings, 5, 0)
    torch.testing.assert_close(again.noise, inputs.noise, rtol=0, atol=0)


def test_a_client_draws_its_real_pairs_itself() -> None:
    """Of 20 images each is its number in every pixel, beside a label map of its parity."""
    numbers = np.arange(20, dtype=np.uint8)
    pairs = Pairs(
        tuple(np.full((8, 8, 1), number, np.uint8) for number in numbers),
        tuple(np.full((8, 8), number % 2, np.uint8) for number in numbers),
        2,
    )
    session = slope_session(pairs, batch_size=60)
    real = session.draw_real(5, 0)
    drawn = ((real.images[:, 0, 0, 0] + 1) * 127.5).round().long()
    assert len(real) == 60
    assert set(drawn.tolist()) <= set(range(20))
    assert len(set(drawn.tolist())) > 10
    torch.testing.assert_close(real.label_maps[:, 1, 0, 0].long(), drawn % 2, rtol=0, atol=0)
    torch.testing.assert_close(session.draw_real(5, 0).images, real.images, rtol=0, atol=0)
    others = (session.draw_real(5, 1), session.draw_real(6, 0), replace(session, secret=1).draw_real(5, 0))
    others += (replace(session, name="b").draw_real(5, 0),)
    assert not any(torch.equal(other.images, real.images) for other in others)


def test_real_images_are_compared_with_only_where_the_algorithm_says_so() -> None:
    labels = ClientLabels("a", (np.zeros((8, 8), np.uint8),), 2, 0)
    views, _ = draw_bundle(labels, BundleSettings(1, 3, 8, "none", 2, seed=1), 1)
    session = slope_session(white())
    with pytest.raises(PolicyError, match="which its releases do not name"):
        session.paired(views)
    torch.testing.assert_close(replace(session, reads_pixels=True).paired(views), torch.ones(3, 1, 8, 8))


def test_a_question_without_label_maps_is_refused() -> None:
    with pytest.raises(ProtocolError, match="does not say which label maps its images were made from"):
        slope_session(white()).synthetic(Question(torch.zeros(1, 1, 8, 8)))


def test_foreign_label_maps_are_drawn_from_in_place_of_the_clients_own() -> None:
    """Client a has 30 pairs and b 10, all blank; the three foreign label maps are of class 1 and twice as large."""
    foreign = tuple(np.full((16, 16), 1, np.uint8) for _ in range(3))
    clients = [
        ClientLabels(name, tuple(np.zeros((8, 8), np.uint8) for _ in range(count)), 2, site, foreign)
        for name, count, site in (("a", 30, 0), ("b", 10, 1))
    ]
    settings = BundleSettings(1, 400, 8, "none", 2, seed=1)
    views, inputs = draw_bundle(clients[1], settings, 5)
    assert set(views.ids) == set(range(3))
    assert views.windows[:, :2].max() == 8
    assert inputs.label_maps[:, 1].min() == 1
    assert set(inputs.sites.tolist()) == {1}
    assert not torch.equal(inputs.noise, draw_bundle(clients[0], settings, 5)[1].noise)
    shared = draw_shared(clients, settings, 5, 0)
    assert shared.label_maps[:, 1].min() == 1
    # a quarter of the images are b's; of 400 draws three standard deviations are 0.065
    assert shared.sites.float().mean().item() == pytest.approx(0.25, abs=0.065)
