import pytest
import yaml

from flower_dgan.errors import ConfigError
from flower_dgan.resolve import resolve, to_yaml


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("exchange.exchange=4", "Unknown setting 'exchange.exchange'. Did you mean 'exchange.exchanges'?"),
        ("data=digit", "Unknown choice of data 'digit'. Did you mean 'digits'?"),
        ("partition=sites", "Unknown choice of partition 'sites'. Did you mean 'site'?"),
        ("sed=1", "Did you mean 'seed'?"),
        ("algorithm.loss=hing", "Unknown algorithm.loss 'hing'. Did you mean 'hinge'?"),
        ("downstream.rows=[Real-Al]", "Did you mean 'Real-All'?"),
        ("downstream.rows=[Real-k+DGN]", "Did you mean 'Real-k+DGAN'?"),
        ("downstream.member_folds=1", "member_folds=1 holds all patients out at once: set 2 or more, or 0"),
        ("downstream=none downstream.member_folds=2", "downstream.seeds=0 is none"),
        ("downstream=none downstream.member_sizes=[2]", "set another downstream than none"),
        ("downstream=none downstream.synthetic_times=[2]", "set another downstream than none"),
        ("downstream.member_sizes=[2] downstream.rows=[Real-k+DGAN]", "name both in downstream.rows, too"),
        ("downstream.member_sizes=[0]", "downstream.member_sizes=[0]: 0 must be from 1 to 1,000,000,000"),
        ("seed", "has no '='"),
        ("seed=one", "seed='one' is of type str, not int"),
        ("seed='unclosed", "cannot be split"),
        ("algorithm.betas=[0.5]", "no list of the right length"),
        ("exchange.rounds=0", "exchange.rounds=0 must be from 1 to 1,000,000,000"),
        ("exchange.message_mb=0.09", "message_mb=0.09 must be in [0.1, 2,000]"),
        ("exchange.message_mb=nan", "exchange.message_mb=nan is no number: it must be in [0.1, 2,000]"),
        ("threads=0", "threads=0"),
        ("algorithm.average_decay=1", "must be in"),
        ("exchange.exchanges=6 exchange.generator_steps=4", "choose a divisor of 6"),
        ("algorithm.l1_weight=1", "allow_pixel_losses=true"),
        ("data.image_size=[", "cannot be applied"),
        ("data.condition=mask", "Unknown data.condition 'mask'. Did you mean"),
        (
            "data.condition=class",
            "class leaves no masks to learn segmentation from: set downstream=none",
        ),
        ("model=mlp", "model.generator=mlp does not see label maps: set data.condition=class or none"),
        ("model.discriminator=dcgan", "model.discriminator=dcgan does not see label maps"),
        (
            "model.generator=resnet9 data.condition=class downstream=none",
            "data.condition=class has constant ones: set model=mlp, dcgan or small",
        ),
        ("data.condition=none downstream=images", "set downstream=none"),
        ("partition=dirichlet partition.alpha=0", "partition.alpha=0.0 must be positive"),
        (
            "partition=dirichlet partition.alpha=-1",
            "partition.alpha=-1 must be in [0, 1,000,000,000]: positive for",
        ),
        ("partition=dirichlet partition.alpha=inf", "partition.alpha=inf must be in [0, 1,000,000,000]"),
        ("partition=dirichlet partition.min_pairs=0", "partition.min_pairs=0 must be positive"),
        ("partition=pathological partition.classes_per_client=0", "classes_per_client=0 must be positive"),
        ("partition=shards partition.shards_per_client=0", "shards_per_client=0 must be positive"),
        ("partition=size partition.exponent=nan", "partition.exponent=nan is no number"),
        ("partition=dirichlet partition.exponent=2", "partition.exponent is a setting of partition=size, and not of"),
        ("partition=site partition.label_groups=[[1]]", "label_groups is a setting of partition=label"),
        ("partition.alpha=0.1", "partition.alpha is a setting of partition=dirichlet, and not of partition=label"),
        ("partition=csv", "set partition.file to its absolute path"),
        ("partition=foreground data.condition=class downstream=none", "data.condition=class leaves none"),
    ],
)
def test_mistakes_are_named(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(overrides)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ("algorithm.merge=softmax", "In place of algorithm.merge=softmax set algorithm=gman."),
        ("algorithm.merge=average", "In place of algorithm.merge=average set algorithm=dgan-average."),
        ("algorithm.turns=one-by-one", "In place of algorithm.turns=one-by-one set algorithm=dgan-sequential."),
        ("algorithm=dgan algorithm.swap_interval=3", "algorithm.swap_interval is a setting of algorithm=mdgan."),
        ("algorithm.shared_batches=1", "algorithm.shared_batches is a setting of algorithm=mdgan."),
        ("algorithm.merge=odds", "algorithm.merge=odds is a setting of algorithm=uagan."),
        ("algorithm=dgan-average algorithm.merge=odds", "algorithm.merge=odds is a setting of algorithm=uagan."),
        ("algorithm.upload=largest", "algorithm.upload is a setting of algorithm=dgan-selective."),
        (
            "algorithm.upload=none",
            "Leave algorithm.upload=none out: only an algorithm that does it has such a setting.",
        ),
        ("algorithm.previous=/runs/first", "algorithm.previous is a setting of algorithm=tdgan."),
        ("algorithm.sharpness=2", "algorithm.sharpness is a setting of algorithm=gman."),
        (
            "algorithm=mdgan algorithm.l1_weight=1",
            "algorithm.l1_weight is a setting of algorithm=asyndgan, algorithm=dgan-sequential, algorithm=tdgan.",
        ),
    ],
)
def test_settings_of_another_algorithm_are_named_with_it(overrides: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(overrides)
    assert str(error.value).endswith(f" {sentence}")
    assert "\n" not in str(error.value)


def test_settings_that_all_algorithms_have_are_nobodys() -> None:
    with pytest.raises(ConfigError, match=r"no list of the right length, which has 2 entries\.$"):
        resolve("algorithm.betas=[0.5]")


def test_overrides_may_be_quoted() -> None:
    config = resolve("data=folder 'data.root=/with blank' data.sites=[a,b]")
    assert config.data.root == "/with blank"
    assert config.data.sites == ("a", "b")


def test_data_choose_their_partition_and_the_user_has_the_last_word() -> None:
    assert resolve("").partition.name == "label"
    assert resolve("data=folder data.root=/x").partition.name == "site"
    assert resolve("data=folder data.root=/x partition=iid").partition.name == "iid"


def test_yaml_says_what_is_resolved() -> None:
    values = yaml.safe_load(to_yaml(resolve("seed=7 exchange.rounds=3")))
    assert (values["seed"], values["exchange"]["rounds"], values["data"]["source"]) == (7, 3, "digits")
