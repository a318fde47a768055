"""FedGAN's local part: what a step draws, and what is left at the end."""

import torch
from torch import Tensor, nn

from flower_dgan.algorithms.fedgan import LocalGan, local_algorithm, rounds_of
from flower_dgan.algorithms.find import algorithm_of
from flower_dgan.algorithms.in_process import train
from flower_dgan.baselines.averaging import average
from flower_dgan.baselines.fedgan_row import local_gans
from flower_dgan.baselines.rows import LocalFederation, open_federation
from flower_dgan.config import Config
from flower_dgan.resolve import resolve


def config_of(extra: str = "") -> Config:
    return resolve(
        "partition=iid exchange.rounds=4 exchange.exchanges=2 exchange.generator_steps=1 exchange.batch_size=2 "
        f"model.generator_width=4 model.discriminator_width=4 {extra}"
    )


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def opened(config: Config, clients: int) -> tuple[LocalFederation, list[LocalGan]]:
    federation = open_federation(config, clients)
    return federation, local_gans(config, federation)


def test_averages_are_at_most_k_steps_apart() -> None:
    assert [rounds_of(steps) for steps in (1, 20, 21, 160)] == [1, 1, 2, 8]


def test_one_client_trains_as_asyndgan_does() -> None:
    """The schedule of rates, the replay and the moving average are those of the run."""
    config = config_of("algorithm.replay=target algorithm.target_step=0.1")
    federation, (gan,) = opened(config, 1)
    state, sessions = federation.state(config), federation.sessions(config)
    train(algorithm_of(config), state, sessions)
    average([gan], 4, 2)
    ours, theirs = copied(gan.state.generator.network), copied(state.generator.average)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    (session,) = sessions.values()
    torch.testing.assert_close(copied(gan.session.half.network), copied(session.half.network), rtol=0, atol=0)


def test_what_is_drawn_from_is_the_moving_average_of_the_averaged_generator() -> None:
    """In the first step its decay is 1/10, whatever the later ones have."""
    config = config_of("exchange.rounds=1 algorithm.average_decay=0.9")
    _, gans = opened(config, 3)
    begun = copied(gans[0].state.generator.network)
    average(gans, 1, 1)
    _, plain = opened(config_of("exchange.rounds=1 algorithm.average_decay=0"), 3)
    average(plain, 1, 1)
    expected = {
        name: 0.1 * begun[name] + 0.9 * value for name, value in plain[0].state.generator.network.state_dict().items()
    }
    torch.testing.assert_close(copied(gans[2].state.generator.network), expected)
    assert (expected["leave.bias"] - begun["leave.bias"]).abs().min() > 0


def test_the_moments_of_the_optimizers_go_on_after_an_average() -> None:
    _, gans = opened(config_of(), 2)
    average(gans, 4, 2)
    for gan in gans:
        # a step of the generator takes both of the round's batches, and the discriminator steps on each
        for optimizer, expected in ((gan.state.generator.optimizer, 4), (gan.session.half.optimizer, 8)):
            assert {int(state["step"]) for state in optimizer.state.values()} == {expected}


def test_clients_are_trained_on_losses_where_the_run_merges_scores() -> None:
    """Both networks step as AsynDGAN's with the run's own losses and rates."""
    config = config_of("algorithm=uagan algorithm.generator_weight=0.25")
    _, gans = opened(config, 2)
    settings = local_algorithm(config.algorithm).settings
    assert (settings.generator_weight, settings.loss, settings.reads_pixels) == (0.25, config.algorithm.loss, False)
    for gan in gans:
        ((_, _, question),) = gan.algorithm.ask(gan.state, 1, [gan.session.name])
        synthetic, half = gan.session.synthetic(question), gan.session.half
        said = gan.algorithm.answer(gan.session, 1, question).feedback.losses[2:]
        # after the discriminator's steps its losses on the second batch are these, and not its scores
        torch.testing.assert_close(said, half.feedback(synthetic[2:]).losses)
        assert not torch.allclose(said, half.scores(synthetic[2:]).losses)


def test_pixel_losses_are_those_of_the_run() -> None:
    config = config_of("algorithm.l1_weight=3 allow_pixel_losses=true")
    assert local_algorithm(config.algorithm).settings.l1_weight == 3
    _, gans = opened(config, 2)
    assert all(gan.session.reads_pixels and gan.session.half.pixel_losses for gan in gans)
