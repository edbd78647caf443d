"""The desk: which cells wait, who may have them, and what is known of their problems.

Cells of one problem stay with whoever began with it, so that its field is opened once. What its cells share is computed
by the first that needs it, whose problem it is alone until then; after that it is anybody's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from solverbench.problems.base import ProblemSpec
from solverbench.run.bench import Done, Event, Returned, Shared, describe
from solverbench.run.cells import Cell


@dataclass(frozen=True)
class Task:
    """A cell as it travels: by names."""

    cell: str
    problem: ProblemSpec
    solver: str
    before: tuple[str, ...]
    files: tuple[str, ...]
    """Programs of the user's that register solvers."""
    budget: int
    seed: int
    asked: dict[str, Any]
    """What its record says of what was asked for, wherever it is finished."""


class Desk:
    """Hands out cells to hands, which may be anything that can be told apart."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.waiting: dict[str, deque[Cell]] = {}
        for cell in cells:
            self.waiting.setdefault(cell.problem.spec.name, deque()).append(cell)
        self.shared: dict[str, Shared] = {}
        self._at: dict[Hashable, str] = {}
        self._alone: dict[str, Hashable] = {}
        self._fatal: set[str] = set()
        self._out: dict[str, Cell] = {}

    def __len__(self) -> int:
        return sum(map(len, self.waiting.values()))

    def take(self, hand: Hashable, most: int = 1, held: int = 0) -> list[Cell]:
        """Up to `most` cells of one problem: of the one the hand is at, else of one that is anybody's or nobody's.

        held: cells it still has; while it has any, it is given none of a problem that nobody has prepared.
        """
        own = self._at.get(hand)
        if held and own in self.waiting and not self._free(own):
            return []
        for name in sorted(self.waiting, key=lambda name: name != own):
            if not self._free(name):
                if held or self._alone.get(name, hand) is not hand:
                    continue
                self.leave(hand)
                self._alone[name], most = hand, 1
            self._at[hand] = name
            queue = self.waiting[name]
            taken = [queue.popleft() for _ in range(min(most, len(queue)))]
            if not queue:
                del self.waiting[name]
            self._out |= {cell.id: cell for cell in taken}
            return taken
        return []

    def put_back(self, cell: Cell) -> None:
        """A cell that its hand did not finish goes to the next."""
        self._out.pop(cell.id, None)
        self.waiting.setdefault(cell.problem.spec.name, deque()).appendleft(cell)

    def leave(self, hand: Hashable) -> None:
        """The hand has no problem any more."""
        self._at.pop(hand, None)
        self._alone = {name: other for name, other in self._alone.items() if other is not hand}

    def note(self, event: Event) -> None:
        """What an event says of a problem, or of a solver that cost a process: nobody else need trace that one."""
        match event:
            case Shared():
                self.shared[event.problem] = event
            case Returned():
                self._fatal.add(event.solver)
                self.put_back(self._out[event.cell])
            case Done():
                self._out.pop(event.cell, None)
                if event.fatal:
                    self._fatal.add(event.record["solver"])

    def task(self, cell: Cell) -> Task:
        """A cell, ready to travel."""
        from solverbench.methods.user import files

        before = tuple(name for name in map(str, cell.before) if name not in self._fatal)
        return Task(
            cell.id, cell.problem.spec, str(cell.solver), before, tuple(map(str, files())),
            cell.budget, cell.seed, describe(cell),
        )  # fmt: skip

    def _free(self, name: str) -> bool:
        shared = self.shared.get(name)
        return shared is not None and (shared.state is not None or shared.broken is not None)
