"""The client's memory between messages, in Flower's ``context.state`` and without pickle."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from flower_dgan.algorithm.discriminator import DiscriminatorHalf

_DISCRIMINATOR, _OPTIMIZER, _PROGRESS, _RANDOM = "discriminator", "optimizer", "progress", "random"


def last_round(state: RecordDict) -> int:
    """Return the last round that was answered, 0 before the first."""
    return int(state.config_records[_PROGRESS]["round"]) if _PROGRESS in state else 0  # type: ignore[arg-type]


def load(state: RecordDict, half: DiscriminatorHalf) -> None:
    """Put the saved discriminator and optimizer into ``half``; a fresh state leaves it as it is."""
    if _PROGRESS not in state:
        return
    half.network.load_state_dict(state.array_records[_DISCRIMINATOR].to_torch_state_dict())
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in state.array_records[_OPTIMIZER].items():
        index, name = key.split(".", 1)
        moments.setdefault(int(index), {})[name] = torch.from_numpy(array.numpy())
    half.optimizer.load_state_dict({"state": moments, "param_groups": half.optimizer.state_dict()["param_groups"]})


def save(state: RecordDict, half: DiscriminatorHalf, round_number: int) -> None:
    """Write the discriminator, its optimizer and the number of the answered round into ``state``."""
    state[_DISCRIMINATOR] = ArrayRecord(half.network.state_dict())
    moments = {
        f"{index}.{name}": Array(value.numpy())
        for index, values in half.optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    state[_OPTIMIZER] = ArrayRecord(moments)
    state[_PROGRESS] = ConfigRecord({"round": round_number})


@contextmanager
def random_state(state: RecordDict, seed: int) -> Iterator[None]:
    """Run torch's default random generator from the client's own saved state, and leave the process's untouched.

    Parameters
    ----------
    state : RecordDict
        Where the generator's state is read from and written to.
    seed : int
        Its seed before the first message.
    """
    with torch.random.fork_rng(devices=[]):
        if _RANDOM in state:
            torch.set_rng_state(torch.from_numpy(state.array_records[_RANDOM]["torch"].numpy()))
        else:
            torch.manual_seed(seed)
        yield
        state[_RANDOM] = ArrayRecord({"torch": Array(np.asarray(torch.get_rng_state()))})
