"""The most memory that is resident while something runs: the process's high-water mark, set back first.

It is of the whole process, libraries and everything loaded before included, and memory that earlier work has freed but
the allocator has kept counts too; so it says what a machine must have, and not what a solver needs, which is its plan's
rows (`Plan.rows`). Only Linux lets a process set its mark back; elsewhere nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_PROCESS = Path("/proc/self")


def with_peak(function: Callable[[], T]) -> tuple[T, int | None]:
    """What the function returns, and the most bytes that were resident meanwhile; None where that cannot be known."""
    known = False
    with suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")  # proc(5): resets the peak resident set size
        known = True
    result = function()
    return result, _mark() if known else None


def _mark() -> int | None:
    with suppress(OSError, StopIteration):
        lines = (_PROCESS / "status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return None
