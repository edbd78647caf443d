"""Liveness: when the values of a plan die, and which row of a preallocated buffer each one is written to.

A value dies at its last reading. A linear combination may be written over an operand that dies in it, since it is
formed element by element; so a two-step method needs two rows of its own however many steps it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Where values live. Entry i of each tuple belongs to instruction i."""

    rows: tuple[int | None, ...]
    """Row of the engine's buffer the value is written to; None for arrays that others own (input, model outputs)."""
    dead: tuple[tuple[int, ...], ...]
    """Values read for the last time by this instruction."""
    buffer: int
    """Number of rows in the buffer."""
    peak: int
    """Largest number of values alive at once."""


def schedule(reads: Sequence[tuple[int, ...]], owned: Sequence[bool], output: int) -> Schedule:
    """Allocate rows by a linear scan. `reads[i]` are the values i reads, `owned[i]` is whether it needs a row."""
    last = {v: i for i, operands in enumerate(reads) for v in operands} | {output: len(reads)}
    dead: list[list[int]] = [[] for _ in range(len(reads) + 1)]
    for v, i in last.items():
        dead[i].append(v)

    rows: list[int | None] = []
    free: list[int] = []
    buffer = alive = peak = 0
    for i in range(len(reads)):
        released = [row for v in dead[i] if (row := rows[v]) is not None]
        if owned[i]:
            free.extend(released)  # before the row is chosen: the result may overwrite a dying operand
            if not free:
                free.append(buffer)
                buffer += 1
            rows.append(free.pop())
            peak = max(peak, alive + (not released))
            alive += 1 - len(dead[i])
        else:
            alive += 1  # a model's output is a new array while its input is still there
            peak = max(peak, alive)
            alive -= len(dead[i])
            rows.append(None)
            free.extend(released)
    return Schedule(tuple(rows), tuple(map(tuple, dead[:-1])), buffer, peak)
