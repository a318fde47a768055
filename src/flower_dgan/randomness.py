"""Seeds that depend on what is drawn and for whom, not on the order of the draws."""

from __future__ import annotations

import hashlib

from flower_dgan.lazily import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2**63) for one purpose, such as ``derive_seed(0, "views", round, site)``."""
    text = "\0".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def derive_generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a torch generator seeded with :func:`derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *names))
