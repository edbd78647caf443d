"""What a run says while it goes on: a bar on a terminal, lines elsewhere, or events for another program to read."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click


class Lines:
    """One line on stderr for each message and each finished cell."""

    def say(self, text: str) -> None:
        """A message."""
        click.echo(text, err=True)

    def done(self, record: Mapping[str, Any]) -> None:
        """A cell is finished."""
        self.say(_failure(record) or f"{_cell(record)} {record['status']} in {record['seconds']:.2f} s")

    def timed(self, record: Mapping[str, Any]) -> None:
        """A finished cell has been timed."""

    def end(self, outcome: Mapping[str, Any]) -> None:
        """Nothing more will be said of cells."""


class Silent(Lines):
    """Nothing."""

    def say(self, text: str) -> None:
        pass


class Bar(Lines):
    """A bar on stderr, and messages above it; of cells, only those that failed."""

    def __init__(self, cells: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=cells, unit="cell", leave=False, dynamic_ncols=True)

    def say(self, text: str) -> None:
        self.bar.clear()
        super().say(text)

    def done(self, record: Mapping[str, Any]) -> None:
        self.bar.set_postfix_str(_cell(record), refresh=False)
        self.bar.update()
        if failure := _failure(record):
            self.say(failure)

    def end(self, outcome: Mapping[str, Any]) -> None:
        self.bar.close()


class Events(Lines):
    """JSON on stdout, a line for each event at once: its name under "event" and what belongs to it; docs/runs.md."""

    def __init__(self, **begun: Any) -> None:
        self._tell("begin", **begun)

    def say(self, text: str) -> None:
        self._tell("message", text=text)

    def done(self, record: Mapping[str, Any]) -> None:
        self._tell("cell", record=record)

    def timed(self, record: Mapping[str, Any]) -> None:
        self._tell("timed", record=record)

    def end(self, outcome: Mapping[str, Any]) -> None:
        self._tell("end", **outcome)

    def _tell(self, event: str, **what: Any) -> None:
        click.echo(json.dumps({"event": event, **what}))  # echo flushes


def progress(cells: int, quiet: bool) -> Lines:
    """What suits stderr, for so many cells."""
    return Silent() if quiet else Bar(cells) if sys.stderr.isatty() else Lines()


def _cell(record: Mapping[str, Any]) -> str:
    return f"{record['problem']} {record['solver']} {record['budget']}"


def _failure(record: Mapping[str, Any]) -> str | None:
    if record["status"] not in ("failed", "diverged"):
        return None
    return f"{_cell(record)} {record['status']}: {record['reason']}"
