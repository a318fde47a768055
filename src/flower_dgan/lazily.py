"""torch, imported when something of it is first used.

An algorithm's file holds its settings beside its equations. Who only reads settings, such as ``flower-dgan config`` or
``--help``, need not wait for torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch as torch
else:

    class _Torch:
        def __getattr__(self, name: str) -> Any:
            import torch

            return getattr(torch, name)

    torch = _Torch()
