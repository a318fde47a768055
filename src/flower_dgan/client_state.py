"""What a node remembers of a run between two messages, in files of its own.

Flower's ``context.state`` travels with every message: 33 MB for a PatchGAN and its optimizer, and the images would have
to be read, and the configuration composed, again in every new process. Here they stay at the node, in one directory for
each run and node: configuration and pairs as they were when the node joined, these mapped into memory rather than read,
and the discriminator as it was after the last answer. A file is complete or not there, so that a process that dies amid
a message leaves the state before it.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_state_path
from safetensors import safe_open
from safetensors.torch import save_file

from flower_dgan.algorithm.discriminator import DiscriminatorHalf
from flower_dgan.config import Config
from flower_dgan.data import Pairs, Pixels
from flower_dgan.errors import FederationError, ProtocolError
from flower_dgan.resolve import read_config

_NODE, _IMAGES, _LABEL_MAPS, _SHAPES = "node.json", "images.npy", "label_maps.npy", "shapes.npy"
_DISCRIMINATOR = "discriminator.safetensors"


class ClientState:
    """The directory of one node in one run.

    Parameters
    ----------
    run_id, node_id : int
        Flower's ids: two runs and two nodes of one machine never share a directory.

    Attributes
    ----------
    path : Path
        ``clients/<run>/<node>`` in the user's state directory.
    """

    def __init__(self, run_id: int, node_id: int) -> None:
        self.path = user_state_path("flower-dgan") / "clients" / str(run_id) / str(node_id)

    def join(self, name: str, pairs: Pairs, config: Config) -> None:
        """Keep the node's name, its real pairs and the run's configuration, in place of what was kept for the run."""
        self.leave()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700)  # real images are in here
        for file, arrays in ((_IMAGES, pairs.images), (_LABEL_MAPS, pairs.label_maps)):
            np.save(self.path / file, np.concatenate([array.reshape(-1) for array in arrays]))
        np.save(self.path / _SHAPES, np.array([image.shape for image in pairs.images]))
        # Last: where this file is, the others are whole.
        node = {"name": name, "classes": pairs.classes, "config": asdict(config)}
        (self.path / _NODE).write_text(json.dumps(node), encoding="utf-8")

    def joined(self) -> tuple[str, Pairs, Config]:
        """Return the node's name, its pairs mapped from disk, and the run's configuration.

        Raises
        ------
        FederationError
            If the node has not joined the run, or its directory is gone.
        """
        if not (self.path / _NODE).is_file():
            raise FederationError(f"This node has not joined the run, or what it kept in {self.path} is gone.")
        node = json.loads((self.path / _NODE).read_text(encoding="utf-8"))
        shapes = np.load(self.path / _SHAPES)
        images = _split(self.path / _IMAGES, [tuple(shape) for shape in shapes.tolist()])
        label_maps = _split(self.path / _LABEL_MAPS, [tuple(shape[:2]) for shape in shapes.tolist()])
        return node["name"], Pairs(images, label_maps, node["classes"]), read_config(node["config"])

    def leave(self) -> None:
        """Delete the directory."""
        if self.path.is_dir():
            shutil.rmtree(self.path)

    @contextmanager
    def answering(self, half: DiscriminatorHalf, round_number: int, *, answered: int, seed: int) -> Iterator[None]:
        """Put the kept discriminator into ``half``, and keep what became of it if the body raises nothing.

        Torch's default random state inside is the client's own; that of the process stays as it was.

        Parameters
        ----------
        half : DiscriminatorHalf
            As it is before the first round of a run.
        round_number : int
            The round that is answered.
        answered : int
            The last round of which the server has this node's answer, 0 for none.
        seed : int
            Of the random state before the first round.

        Raises
        ------
        ProtocolError
            If the round was answered already.
        FederationError
            If less is kept than the server was answered: the discriminator would start afresh.
        """
        file = self.path / _DISCRIMINATOR
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            done = _read(file, half) if file.is_file() else 0
            if round_number <= done:
                raise ProtocolError(f"round {round_number} was answered already")
            if done < answered:
                raise FederationError(
                    f"The server has this node's answer to round {answered}, but {self.path} knows of round {done}: "
                    "the node's memory of this run is gone."
                )
            yield
            _write(file, half, round_number)


def _split(path: Path, shapes: list[tuple[int, ...]]) -> tuple[Pixels, ...]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(np.load(path, mmap_mode="r"), ends[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def _read(path: Path, half: DiscriminatorHalf) -> int:
    """Put network, optimizer and random state in their places and return the round."""
    network: dict[str, torch.Tensor] = {}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118  no mapping
            kind, _, name = key.partition(":")
            if kind == "network":
                network[name] = file.get_tensor(key)
            elif kind == "optimizer":
                index, _, moment = name.partition(".")
                moments.setdefault(int(index), {})[moment] = file.get_tensor(key)
        torch.set_rng_state(file.get_tensor("random"))
        round_number = int(file.metadata()["round"])
    half.network.load_state_dict(network)
    half.optimizer.load_state_dict({"state": moments, "param_groups": half.optimizer.state_dict()["param_groups"]})
    return round_number


def _write(path: Path, half: DiscriminatorHalf, round_number: int) -> None:
    tensors = {f"network:{name}": value for name, value in half.network.state_dict().items()}
    for index, moments in half.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer:{index}.{name}": value for name, value in moments.items()}
    partial = path.with_suffix(".partial")
    save_file(tensors | {"random": torch.get_rng_state()}, partial, {"round": str(round_number)})
    partial.replace(path)
