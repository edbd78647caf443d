"""Where a run happens, and by which engine: on a GPU the kernels of `engines.cupy`, and torch for networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from solverbench.errors import UsageError

DEVICES = ("auto", "cuda", "cpu")


@dataclass(frozen=True)
class Choice:
    """A device, and in words why it is this one."""

    name: str
    why: str


def choose(asked: str) -> Choice:
    """The device of that name; "auto" is the GPU if it can be used, else the CPU.

    Raises UsageError for an unknown name, and for "cuda" where something is missing, with the remedy.
    """
    if asked not in DEVICES:
        raise UsageError(f"unknown device {asked!r} (known: {', '.join(DEVICES)})")
    if asked == "cpu":
        return Choice("cpu", "as asked")
    import torch

    from solverbench.engines.cupy.device import REMEDY, why_not

    if (reason := why_not()) is None:
        return Choice("cuda", f"{torch.cuda.get_device_name()}: kernels of our own for states, torch for networks")
    if asked == "cuda":
        raise UsageError(f"device 'cuda' cannot be used here: {reason}; {REMEDY}, or take device 'cpu'")
    return Choice("cpu", f"the GPU cannot be used: {reason}")


def runner(device: str) -> Any:
    """The class of the engine that runs plans on "cuda" or "cpu"."""
    if device == "cuda":
        from solverbench.engines.cupy.runner import Runner as Kernels

        return Kernels
    from solverbench.engines.torch import Runner

    return Runner
