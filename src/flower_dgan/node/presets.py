"""The three policies that an owner may name in place of writing one."""

from collections.abc import Mapping
from types import MappingProxyType

from flower_dgan.node.bounds import Bounds
from flower_dgan.node.policy import ReleasePolicy

_STANDARD = Bounds(
    image_size=(16, 1024),
    batch_size=(4, 256),
    discriminators=("small", "patchgan", "multi-scale", "dcgan"),  # not mlp: its first layer holds whole images
    loss_weights=(0.01, 100.0),
    learning_rate=(0.0, 0.002),
    second_decay=0.9,
    gradient_penalty=100.0,
    rounds=20_000,
    steps_a_message=1024,
    memory_mib=2048,
)

STRICT = ReleasePolicy(
    label_maps=False,
    label_maps_to_clients=False,
    weights=False,
    pixel_losses=False,
    queries_per_image=0,
    levels=False,
    feedback=False,
    exact_figures=False,
    approval=True,
    trainings=50,
    kept_trainings=8,
    returns=0,
    distinct_images=4,
    epsilon=3.0,
    bounds=_STANDARD,
)
"""Nothing leaves but what is differentially private by patient: sums with noise."""

STANDARD = ReleasePolicy(
    label_maps=True,
    label_maps_to_clients=False,
    weights=False,
    pixel_losses=False,
    queries_per_image=20_000,
    exact_figures=False,
    approval=True,
    trainings=50,
    kept_trainings=8,
    returns=20,
    distinct_images=4,
    epsilon=10.0,
    bounds=_STANDARD,
)
"""Hurdles against the attacks that were seen to read images, and an owner who approves; no guarantee."""

RESEARCH = ReleasePolicy(
    label_maps=True,
    label_maps_to_clients=True,
    weights=True,
    pixel_losses=True,
    queries_per_image=None,
    moments=True,
    scores=True,
    epsilon=None,
    publish_label_maps=True,
    kept_trainings=20,
    bounds=Bounds(steps_a_message=100_000, memory_mib=2048),  # beyond, a message hangs a node or fills it
)
"""Whoever starts a run can read the images. It runs no code that a training names, and is not filled."""

PRESETS: Mapping[str, ReleasePolicy] = MappingProxyType({"strict": STRICT, "standard": STANDARD, "research": RESEARCH})
