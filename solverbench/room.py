"""How much memory there is, and whether samples find room in it."""

from __future__ import annotations

import os

from solverbench.errors import UsageError


def installed_memory(device: str = "cpu") -> int | None:
    """Bytes of memory of this machine, or of its GPU for "cuda"; None where the system does not say."""
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None


def check_room(n: int, size: int, device: str = "cpu") -> None:
    """Raise UsageError if n samples of `size` bytes are more than all of a device's memory, before any is drawn."""
    needed, room = int(n) * size, installed_memory(device)
    if room is not None and needed > room:
        take, there = (f"{b / 2**30:,.1f} GiB" for b in (needed, room))
        raise UsageError(f"n = {n:,} samples take {take} of {there} of memory: take a smaller n, or several batches")
