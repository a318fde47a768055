"""Fused generators: who draws a sample, who learns from it, and one sub-generator against the network that it is."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from flower_dgan.errors import ConfigError
from flower_dgan.gan.exchange import Feedback, GeneratorInput
from flower_dgan.gan.generator import GeneratorHalf
from flower_dgan.gan.replay import Replay
from flower_dgan.generator_file import load_generator, save_generator
from flower_dgan.networks.build import ImageShape, build_generator
from flower_dgan.networks.fusion import GatedGenerator, MixtureGenerator
from flower_dgan.networks.small import SmallGenerator
from flower_dgan.resolve import resolve

SETTINGS = (3, 1, 8, 16, 4)
FUSIONS = (MixtureGenerator, GatedGenerator)


def inputs(*sites: int) -> GeneratorInput:
    generator = torch.Generator().manual_seed(0)
    label_maps = torch.zeros(len(sites), 3, 16, 16)
    label_maps[:, 1] = 1
    return GeneratorInput(
        label_maps=label_maps,
        noise=torch.randn(len(sites), 4, generator=generator),
        texture=torch.randn(len(sites), 1, 16, 16, generator=generator),
        sites=torch.tensor(sites),
    )


def fused(kind: type[MixtureGenerator | GatedGenerator], sites: int) -> MixtureGenerator | GatedGenerator:
    torch.manual_seed(0)
    return kind(*SETTINGS, sites)


def size(gradients: Iterable[Tensor]) -> float:
    return sum(float(gradient.abs().sum()) for gradient in gradients)


@pytest.mark.parametrize("kind", FUSIONS)
def test_one_sub_generator_is_the_small_network(kind: type[MixtureGenerator | GatedGenerator]) -> None:
    network = fused(kind, 1)
    torch.manual_seed(0)
    small, given = SmallGenerator(*SETTINGS), inputs(0, 0)
    torch.testing.assert_close(network(given), small(given), rtol=0, atol=0)


def test_a_mixture_draws_each_sample_by_the_sub_generator_of_its_site() -> None:
    network, given = fused(MixtureGenerator, 3), inputs(2, 0, 2, 0)
    images = network(given)
    for sample, site in enumerate((2, 0, 2, 0)):
        alone = network.subs[site](given[sample : sample + 1])
        torch.testing.assert_close(images[sample : sample + 1], alone)
    assert (images[:1] - network.subs[0](given[:1])).abs().max() > 1e-3


def test_a_mixture_asks_no_sub_generator_in_vain() -> None:
    network = fused(MixtureGenerator, 3)
    drawn: list[int] = []
    for site, sub in enumerate(network.subs):
        sub.register_forward_hook(lambda _module, given, _images, site=site: drawn.extend([site] * len(given[0])))
    network(inputs(2, 0, 2, 2))
    assert drawn == [0, 2, 2, 2]


def test_a_mixture_refuses_a_site_that_it_has_not() -> None:
    with pytest.raises(IndexError, match="site 3 has no sub-generator: there are 3"):
        fused(MixtureGenerator, 3)(inputs(0, 3))


@pytest.mark.parametrize("kind", FUSIONS)
def test_a_sub_generator_learns_from_its_own_client_only(kind: type[MixtureGenerator | GatedGenerator]) -> None:
    network, given = fused(kind, 3), inputs(0, 2, 2)
    images = network(given)
    for samples, own in ((slice(0, 1), 0), (slice(1, 3), 2)):
        for site, sub in enumerate(network.subs):
            gradient = torch.autograd.grad(
                images[samples].sum(),
                list(sub.parameters()),
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            assert (size(gradient) > 0) == (site == own)


def test_gate_and_output_layer_learn_from_all() -> None:
    network = fused(GatedGenerator, 2)
    for site in (0, 1):
        images = network(inputs(site))
        for layer in (network.gate, network.leave):
            assert size(torch.autograd.grad(images.square().sum(), list(layer.parameters()), retain_graph=True)) > 0


def test_the_gate_does_not_see_the_site_and_its_shares_sum_to_one() -> None:
    network = fused(GatedGenerator, 3)
    torch.testing.assert_close(network(inputs(0, 1)), network(inputs(2, 2)), rtol=0, atol=0)
    shares = network.shares(network.features(inputs(0, 1)))
    assert shares.shape == (2, 3, 16, 16)
    assert shares.std(dim=(0, 2, 3)).min() > 0
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 16, 16))


def test_a_gate_that_is_even_draws_from_the_mean_of_the_features() -> None:
    network, given = fused(GatedGenerator, 2), inputs(0, 1)
    nn.init.zeros_(network.gate.weight)
    nn.init.constant_(network.gate.bias, 3.0)
    mean = (network.subs[0].features(given) + network.subs[1].features(given)) / 2
    torch.testing.assert_close(network(given), network.leave(mean).clamp(-1, 1))
    with torch.no_grad():
        network.gate.bias.copy_(torch.tensor([0.0, 3.0]).log1p())  # odds 1 : 4
    uneven = 0.2 * network.subs[0].features(given) + 0.8 * network.subs[1].features(given)
    torch.testing.assert_close(network(given), network.leave(uneven).clamp(-1, 1))


@pytest.mark.parametrize("kind", FUSIONS)
def test_samples_do_not_depend_on_the_rest_of_the_batch(kind: type[MixtureGenerator | GatedGenerator]) -> None:
    network, given = fused(kind, 3), inputs(1, 2, 0, 1)
    torch.testing.assert_close(network(given)[1:2], network(given[1:2]))


@pytest.mark.parametrize("kind", FUSIONS)
def test_a_step_leaves_the_sub_generators_of_silent_clients_alone(
    kind: type[MixtureGenerator | GatedGenerator],
) -> None:
    """Adam would go on in its direction if their gradient were a zero."""
    network = fused(kind, 2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    half = GeneratorHalf(network, optimizer, replay=Replay("gradient"), average_decay=0.0)
    ones = Feedback(torch.ones(2), torch.ones(2, 1, 16, 16))
    for site in (0, 1):
        half.apply([half.propose(inputs(site, site))], [ones], {"a": 1.0}, steps=1)
        if site == 0:
            before = [parameter.detach().clone() for parameter in network.subs[0].parameters()]
    torch.testing.assert_close(list(network.subs[0].parameters()), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["fusion-mixture", "fusion-gate"])
def test_the_file_of_a_generator_builds_it_again(name: str, tmp_path: Path) -> None:
    model = resolve(f"model={name}").model
    shape = ImageShape(3, 1, 16, ("north", "south"))
    network = build_generator(model, shape)
    save_generator(tmp_path / "generator.safetensors", network, model, shape)
    again, _, _ = load_generator(tmp_path / "generator.safetensors")
    torch.testing.assert_close(again.state_dict(), network.state_dict(), rtol=0, atol=0)


def test_settings_that_do_not_fit_are_refused() -> None:
    shape = ImageShape(3, 1, 16, ("north", "south"))
    with pytest.raises(ConfigError, match=r"a site each: model\.site_condition=false"):
        build_generator(resolve("model=fusion-gate model.site_condition=true").model, shape)
    with pytest.raises(ConfigError, match="sub-generators of their own"):
        resolve("algorithm=fusion algorithm.merge=agreement")
    with pytest.raises(ConfigError, match="no fusion"):
        resolve("algorithm=tdgan-small model=fusion-mixture algorithm.previous=/run")
    with pytest.raises(ValueError, match="there is no site"):
        MixtureGenerator(*SETTINGS, 0)
