"""FedGAN's local part: what a step draws, and what is left at the end."""

import torch
from torch import Tensor, nn

from flower_dgan.algorithms.asyndgan import train
from flower_dgan.algorithms.fedgan import LocalGan, rounds_of
from flower_dgan.baselines.averaging import average
from flower_dgan.baselines.fedgan import local_gans
from flower_dgan.baselines.rows import LocalFederation, open_federation
from flower_dgan.config import Config
from flower_dgan.resolve import resolve
from flower_dgan.wiring import bundle_settings, generator_half


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
    generator, clients = generator_half(config, federation.shape), federation.clients(config)
    settings = bundle_settings(config)
    final_rate = config.algorithm.final_rate
    train(generator, clients, settings, rounds=4, generator_steps=1, merge="samples", final_rate=final_rate)
    average([gan], 4, 2)
    torch.testing.assert_close(gan.generator.network.state_dict(), generator.average.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(
        gan.client.half.network.state_dict(), clients[0].half.network.state_dict(), rtol=0, atol=0
    )


def test_what_is_drawn_from_is_the_moving_average_of_the_averaged_generator() -> None:
    """In the first step its decay is 1/10, whatever the later ones have."""
    config = config_of("exchange.rounds=1 algorithm.average_decay=0.9")
    _, gans = opened(config, 3)
    begun = copied(gans[0].generator.network)
    average(gans, 1, 1)
    _, plain = opened(config_of("exchange.rounds=1 algorithm.average_decay=0"), 3)
    average(plain, 1, 1)
    expected = {
        name: 0.1 * begun[name] + 0.9 * value for name, value in plain[0].generator.network.state_dict().items()
    }
    torch.testing.assert_close(copied(gans[2].generator.network), expected)
    assert (expected["leave.bias"] - begun["leave.bias"]).abs().min() > 0


def test_the_moments_of_the_optimizers_go_on_after_an_average() -> None:
    _, gans = opened(config_of(), 2)
    average(gans, 4, 2)
    for gan in gans:
        for optimizer in (gan.generator.optimizer, gan.client.half.optimizer):
            steps = {int(state["step"]) for state in optimizer.state.values()}
            # a step of the generator takes both of the round's batches, and the discriminator steps on each
            assert steps == ({4} if optimizer is gan.generator.optimizer else {8})


def test_clients_are_trained_on_losses_where_the_run_merges_scores() -> None:
    _, gans = opened(config_of("algorithm=uagan"), 2)
    assert not any(gan.client.half.scores for gan in gans)
