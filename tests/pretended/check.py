"""Runs every path on the CPU and on the pretended GPU, then again without each transfer in turn; prints JSON.

A process of its own, as the device is registered for the whole process: ``python -m tests.pretended.check``.
"""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import flower_dgan
import flower_dgan.device as device
import flower_dgan.placing as placing
from flower_dgan.errors import DganError
from flower_dgan.gan.exchange import GeneratorInput
from tests.pretended.gpu import NAME, WAITS, pretended_gpu
from tests.pretended.paths import PATHS, Made, settings, small_perceptual_loss, two_rounds

Site = tuple[str, int]
"""File and line of a call of a transfer."""

PACKAGE = Path(flower_dgan.__file__).parent
BACK: dict[str, Callable[..., Any]] = {
    "to_device": lambda tensor, _device: tensor,
    "to_cpu": lambda tensor: tensor,
    "place": lambda network, *_: network,
    "to": lambda inputs, _device: inputs,
}
"""What stands for a transfer that was forgotten, by its name."""


class Watch:
    """Stands before every transfer of the package: notes from where it is called, and leaves one of the calls away."""

    def __init__(self) -> None:
        self.forgotten: Site | None = None
        self.seen: set[Site] = set()

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Watch the transfers of all modules that have them by name."""
        for file in PACKAGE.rglob("*.py"):  # one that is imported later would not be watched
            text = file.read_text(encoding="utf-8")
            if "from flower_dgan.device import" in text or "from flower_dgan.placing import" in text:
                place = file.parent if file.stem == "__init__" else file.with_suffix("")
                import_module(".".join(("flower_dgan", *place.relative_to(PACKAGE).parts)))
        originals: list[tuple[Any, str, Any]] = [(GeneratorInput, "to", GeneratorInput.to)]
        for module in [each for name, each in sys.modules.items() if name.startswith("flower_dgan")]:
            for name, home in (("to_device", device), ("to_cpu", device), ("place", placing)):
                if vars(module).get(name) is vars(home)[name]:
                    originals.append((module, name, vars(home)[name]))
        for owner, name, function in originals:
            setattr(owner, name, self._watched(name, function))
        try:
            yield
        finally:
            for owner, name, function in originals:
                setattr(owner, name, function)

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            site = _site(sys._getframe(1))
            self.seen.add(site)
            return (BACK[name] if site == self.forgotten else function)(*args)

        return call


def _site(frame: FrameType) -> Site:
    return str(Path(frame.f_code.co_filename).relative_to(PACKAGE)), frame.f_lineno


def on(name: str, path: Callable[[], Made]) -> Made:
    """Do a path on a device, from the same state of everything random."""
    os.environ["FLOWER_DGAN_DEVICE"] = name
    torch.manual_seed(0)
    if name == "cpu":
        return path()
    with pretended_gpu():
        return path()


def difference(ours: Made, theirs: Made) -> float:
    """Return the largest difference of two lists of tensors; NaN is as far from anything as can be."""
    if [each.shape for each in ours] != [each.shape for each in theirs]:
        return float("inf")
    unequal = [(a, b) for a, b in zip(ours, theirs, strict=True) if not torch.equal(a, b)]
    return max((float((a.double() - b.double()).abs().nan_to_num(torch.inf).max()) for a, b in unequal), default=0.0)


def waits_of_two_rounds(exchanges: int) -> dict[str, int]:
    """Return how often the CPU waits in the parts of two rounds of two clients, with so many exchanges each."""
    overrides = f"algorithm=dgan exchange.exchanges={exchanges} exchange.generator_steps=2"
    parts: dict[str, int] = defaultdict(int)
    kind = type(_algorithm(overrides))
    originals = {name: getattr(kind, name) for name in ("ask", "answer", "learn")}

    def counted(name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            before = WAITS.total()
            made = originals[name](*args)
            made = list(made) if name == "ask" else made
            parts[name] += WAITS.total() - before
            return made

        return call

    for name in originals:
        setattr(kind, name, counted(name))
    try:
        on(NAME, lambda: two_rounds(overrides))
    finally:
        for name, function in originals.items():
            setattr(kind, name, function)
    return dict(parts)


def _algorithm(overrides: str) -> Any:
    from flower_dgan.algorithms.find import algorithm_of

    return algorithm_of(settings(overrides))


def main() -> None:
    """Check all, and print what was found."""
    torch.set_num_threads(1)
    device._COUNTS[NAME] = lambda: 1
    watch = Watch()
    found: dict[str, Any] = {"differences": {}, "forgotten": {}, "failed": {}}
    seconds: dict[str, float] = {}
    through: dict[Site, list[str]] = defaultdict(list)
    with small_perceptual_loss(), watch.everywhere():
        for name, path in PATHS.items():
            begin = time.process_time()
            try:
                expected = on("cpu", path)
                watch.seen.clear()
                found["differences"][name] = difference(on(NAME, path), expected)
            except Exception as error:
                found["failed"][name] = f"{type(error).__name__}: {error}"[:500]
            seconds[name] = time.process_time() - begin
            for site in watch.seen:
                through[site].append(name)
        found["waits"] = {str(count): waits_of_two_rounds(count) for count in (2, 6)}
        for site, names in sorted(through.items()):
            watch.forgotten = site
            found["forgotten"][f"{site[0]}:{site[1]}"] = _missed(sorted(names, key=seconds.__getitem__))
        watch.forgotten = None
    found["seconds"] = {name: round(each, 1) for name, each in seconds.items()} | {"all": round(time.process_time(), 1)}
    print(json.dumps(found))


def _missed(names: list[str]) -> str | None:
    """Return how one of the paths fails, None where none does."""
    for name in names:
        try:
            on(NAME, PATHS[name])
        except (RuntimeError, DganError) as error:  # torch's own, or what a run makes of a client's
            return f"{name}: {type(error).__name__}: {error}"[:300]
    return None


if __name__ == "__main__":
    main()
