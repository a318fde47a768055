"""Each setting is held against its type and range: by a table of mistakes, and by every mistake in every setting."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn

from flower_dgan.algorithms.asyndgan import AsynDganSettings
from flower_dgan.algorithms.find import read_config
from flower_dgan.config import Config, TrainingConfig
from flower_dgan.config.read import read_settings
from flower_dgan.errors import ConfigError, ProtocolError, RangeError
from flower_dgan.gan.exchange import GeneratorInput
from flower_dgan.networks.build import ImageShape, build_discriminator, build_generator
from flower_dgan.networks.limits import DISCRIMINATOR_SIZES, GENERATOR_SIZES
from flower_dgan.networks.patchgan import PatchDiscriminator
from flower_dgan.networks.resnet import ResnetGenerator
from flower_dgan.networks.small import SmallDiscriminator, SmallGenerator
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.resolve import resolve
from flower_dgan.wire.description import describe_training, read_description


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("algorithm.final_rate=-1", "algorithm.final_rate=-1 must be in [0, 1]: 1 is no change over the rounds."),
        ("algorithm.betas=[2,3]", "algorithm.betas=[2, 3]: 2 must be in [0, 1)."),
        (
            "algorithm.betas=[0.5,0.9,0.9]",
            "[0.5, 0.9, 0.9] is no list of the right length, which has 2",
        ),
        ("exchange.timeout=nan", "exchange.timeout=nan is no number: it must be in (0, 1,000,000,000]"),
        ("exchange.join_timeout=inf", "exchange.join_timeout=inf must be in (0, 1,000,000,000]"),
        ("data.source=null", "data.source=null must be one of digits, folder, mnist, fashion-mnist, or an import path"),
        ("algorithm.merge=null", "algorithm.merge=null must be one of samples, equal, agreement."),
        ("algorithm.name=a:b:c", "algorithm.name=a:b:c is no import path: write package.module:attribute."),
        ("algorithm.name=dgn", "Unknown algorithm.name 'dgn'"),
        ("algorithm.name=null", "algorithm.name=null"),
        ("algorithm=base", "algorithm.name"),
        ("algorithm.loss=wasserstein", "nothing bounds that of model.discriminator=small: set algorithm.loss=hinge"),
        ("algorithm.loss=null", "algorithm.loss=null must be one of bce, minimax, least-squares, hinge, wasserstein."),
        ("algorithm.l1_weight=-1", "algorithm.l1_weight=-1 must be in [0, 1,000,000,000]."),
        ("algorithm.generator_learning_rate=0", "generator_learning_rate=0 must be in (0, 1,000,000,000]."),
        (
            "algorithm=gman algorithm.sharpness=nan",
            "algorithm.sharpness=nan is no number: it must be at least 0",
        ),
        ("seed=-1", "seed=-1 must be from 0 to 9,223,372,036,854,775,807."),
        ("seed=true", "seed=true is of type bool, not int"),
        ("exchange.in_flight=3", "exchange.in_flight=3 must be from 1 to 2."),
        ("exchange.in_flight=true", "exchange.in_flight=true is of type bool"),
        ("model.noise_channels=1000000", "model.noise_channels=1000000 must be from 0 to 65,536."),
        ("data.root=''", "data.root='' must be a text that is not empty, or null."),
        ("data.missing_channels=[[a,[300]]]", "data.missing_channels=[['a', [300]]]: 300 must be from 0 to 254."),
        ("model.site_condition=1", "site_condition=1 is of type int, not bool: it must be true or false."),
        ("downstream.metrics=[1]", "downstream.metrics=[1]: 1 is of type int, not str"),
        ("model=papers data.image_size=30", "resnet9 with data.image_size=30: it wants an image size divisible by 4"),
        ("model.discriminator=patchgan data.image_size=16", "it wants an image size of at least 24, not 16."),
        ("model.generator=unet data.image_size=24", "it wants an image size of 8, 16, 32, ..., not 24."),
        ("data.image_size=30", "model.generator=small with data.image_size=30: it wants an image size divisible by 4"),
        ("model=mlp model.noise_channels=0 data.condition=none downstream=none", "set model.noise_channels=100"),
        ("model=fusion-mixture model.site_condition=true", "model.site_condition=false"),
        (
            "data.image_size=4 algorithm.perceptual_weight=1 allow_pixel_losses=true",
            "algorithm.perceptual_weight wants data.image_size=8 or more",
        ),
    ],
)
def test_what_is_refused_is_told_with_what_is_allowed(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(overrides)
    assert message in str(error.value)


def test_the_ends_of_ranges_are_in_them() -> None:
    config = resolve(
        "algorithm=gman algorithm.final_rate=0 algorithm.betas=[0,0] algorithm.sharpness=inf algorithm.largest_share=1 "
        "exchange.message_mb=2000 seed=9223372036854775807 downstream.seeds=0 output.checkpoint_interval=0"
    )
    algorithm = config.algorithm
    assert (algorithm.final_rate, algorithm.betas, algorithm.sharpness) == (0.0, (0.0, 0.0), math.inf)
    assert (type(algorithm.final_rate), type(config.exchange.message_mb)) == (float, float)


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield from leaves(value, (*path, name)) if isinstance(value, dict) else [(*path, name)]


OF_ALGORITHMS = [
    (preset, path)
    for preset in ("tdgan-small", "mdgan", "uagan", "gman", "dgan-average", "dgan-selective", "dgan-sequential")
    for path in leaves(asdict(resolve(f"algorithm={preset}")))
    if path[0] == "algorithm"
]


@pytest.mark.parametrize(
    ("preset", "path"), [*(("dgan", path) for path in leaves(asdict(resolve("")))), *OF_ALGORITHMS]
)
def test_no_setting_takes_what_is_nothing_of_its_kind(preset: str, path: tuple[str, ...]) -> None:
    """Whatever a setting is, it is none of these, but for the few that its type allows."""
    plain = json.loads(json.dumps(asdict(resolve(f"algorithm={preset}"))))
    place = plain
    for name in path[:-1]:
        place = place[name]
    now = place[path[-1]]
    wrong: list[Any] = [math.nan, {}, [{}], {"a": 1}, -(10**30)]
    wrong += [] if path[-1] == "sharpness" else [math.inf, 10**30]
    wrong += [] if isinstance(now, bool) else [True]
    wrong += (
        [] if path[-1] in ("label_maps", "encoder", "task") or now is None or isinstance(now, list) else ["no such"]
    )
    wrong += [] if now is None or path[-1] in ("name_pattern", "encoder_weights", "threads") else [None]
    wrong += [""] if isinstance(now, str) or now is None else []
    for value in wrong:
        place[path[-1]] = value
        with pytest.raises(ConfigError) as error:
            read_config(Config, plain)
        assert ".".join(path) in str(error.value)


def test_a_long_or_odd_value_is_shown_on_one_short_line() -> None:
    with pytest.raises(ConfigError) as error:
        read_settings(AsynDganSettings, asdict(resolve("").algorithm) | {"final_rate": "\x1b[2J" * 1000}, "algorithm.")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 250


def test_what_is_built_already_is_taken_as_it_is() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Own(AsynDganSettings):
        extra: int

    own = Own(**asdict(resolve("").algorithm), extra=7)
    read = read_settings(Config, asdict(resolve("")) | {"algorithm": own})
    assert read.algorithm is own
    assert replace(read, algorithm=resolve("").algorithm) == resolve("")
    with pytest.raises(ConfigError, match="data='no source' is no list of settings"):
        read_config(Config, asdict(resolve("")) | {"data": "no source"})


def test_a_node_tells_types_from_ranges() -> None:
    """What is no description is the message's fault; a description with values out of range is the run's."""
    told = json.loads(describe_training(resolve("")))

    def changed(group: str, name: str, value: Any) -> str:
        return json.dumps(told | {group: told[group] | {name: value}})

    with pytest.raises(RangeError, match="final_rate=-1 must be in"):
        read_description(changed("algorithm", "final_rate", -1))
    with pytest.raises(ProtocolError):
        read_description(changed("algorithm", "final_rate", "1"))
    with pytest.raises(ConfigError, match="wants an image size divisible by 4"):
        read_description(changed("data", "image_size", 30))
    assert type(read_description(json.dumps(told))) is TrainingConfig


def test_a_policy_is_held_against_ranges_too() -> None:
    rules = {"label_maps": True, "label_maps_to_clients": False, "weights": False, "pixel_losses": False}
    assert read_settings(ReleasePolicy, rules | {"queries_per_image": 0}).queries_per_image == 0
    for wrong, words in ((-1, "must be from 0 to 1,000,000,000, or null"), (True, "is of type bool, not int")):
        with pytest.raises(ConfigError, match=f"queries_per_image=.* {words}"):
            read_settings(ReleasePolicy, rules | {"queries_per_image": wrong})
    with pytest.raises(ConfigError, match="weights=1 is of type int, not bool"):
        read_settings(ReleasePolicy, rules | {"queries_per_image": None, "weights": 1})


SIZES = [*range(1, 41), 48, 56, 62, 64]


def inputs(size: int, noise: int) -> GeneratorInput:
    maps, sites = torch.zeros(2, 2, size, size), torch.zeros(2, dtype=torch.long)
    return GeneratorInput(
        label_maps=maps, noise=torch.randn(2, noise), texture=torch.randn(2, 1, size, size), sites=sites
    )


@pytest.mark.parametrize("name", GENERATOR_SIZES)
def test_generators_draw_images_of_the_sizes_that_they_say(name: str) -> None:
    noise = 0 if name == "resnet9" else 3
    model = replace(resolve("").model, generator=name, generator_width=2, noise_channels=noise, site_condition=False)  # type: ignore[arg-type]
    for size in SIZES:
        shape = ImageShape(2, 1, size, ("a",))
        if GENERATOR_SIZES[name].fits(size):
            assert build_generator(model, shape)(inputs(size, noise)).shape == (2, 1, size, size)
        else:
            with pytest.raises(ConfigError, match=f"wants an image size .*, not {size}"):
                build_generator(model, shape)


@pytest.mark.parametrize("name", DISCRIMINATOR_SIZES)
def test_discriminators_judge_images_of_the_sizes_that_they_say(name: str) -> None:
    model = replace(resolve("").model, discriminator=name, discriminator_width=2)  # type: ignore[arg-type]
    for size in SIZES:
        shape = ImageShape(2, 1, size, ())
        if DISCRIMINATOR_SIZES[name].fits(size):
            scores = build_discriminator(model, shape)(torch.zeros(2, 2, size, size), torch.zeros(2, 1, size, size))
            assert len(scores) == 2
            assert scores.numel() >= 2
        else:
            with pytest.raises(ConfigError, match=f"wants an image size .*, not {size}"):
                build_discriminator(model, shape)


def works(network: nn.Module, size: int) -> bool:
    given = (
        (inputs(size, 0),)
        if isinstance(network, ResnetGenerator)
        else (torch.zeros(2, 2, size, size), torch.zeros(2, 1, size, size))
    )
    try:
        made: torch.Tensor = network(*given)
    except (RuntimeError, ValueError):
        return False
    return not isinstance(network, ResnetGenerator) or made.shape == (2, 1, size, size)


def test_no_size_is_refused_that_would_work() -> None:
    """Of the networks whose layers do not depend on the size."""
    for network, sizes in (
        (ResnetGenerator(2, 1, 2), GENERATOR_SIZES["resnet9"]),
        (PatchDiscriminator(2, 1, 2), DISCRIMINATOR_SIZES["patchgan"]),
        (SmallDiscriminator(2, 1, 2), DISCRIMINATOR_SIZES["small"]),
    ):
        assert [size for size in SIZES if works(network, size)] == [size for size in SIZES if sizes.fits(size)]


@pytest.mark.parametrize("width", [1, 5, 11, 13, 16, 25])
def test_the_small_generator_takes_any_width(width: int) -> None:
    """Groups that do not divide the channels become one; where they do, they have 8 channels or a little more."""
    network = SmallGenerator(2, 1, width, 8, 3)
    assert network(inputs(8, 3)).shape == (2, 1, 8, 8)
    groups = network.block2a.first.normalize.num_groups
    assert groups == {1: 1, 5: 2, 11: 1, 13: 1, 16: 8, 25: 1}[width]
