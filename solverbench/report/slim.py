"""A run to keep: its manifest, its records and, of its arrays, the numbers by start, which its tables are made from."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from solverbench.errors import StorageError, UsageError
from solverbench.report import starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from solverbench.report.records import Run

PLACES, FLAGS = ("--out", "--name", "--jobs"), ("--no-cache", "--quiet", "-q")
"""Options of `run`, with and without a value, that say where and how it was made and change no number."""


def copy(run: Run, to: Path, say: Callable[[str], object]) -> Path:
    """Copy the manifest, records and numbers by start of a run to a folder, whose former copy of a run of that suite
    they replace.

    The command in the manifest loses the options that say where its folder lay. Figures, tables and sheets that are
    there are removed, as they are of the former copy. Numbers by start that are too many to be committed stay behind,
    and `say` gets a line. Raises UsageError if the folder holds anything else.
    """
    manifest = json.loads((run.folder / "manifest.json").read_text("utf-8"))
    if to.resolve() == run.folder.resolve():
        raise UsageError(f"{to} is the run itself: name another folder for a copy without arrays")
    if to.exists() and any(to.iterdir()):
        former = to / "manifest.json"
        if (to / "arrays").exists() or not former.is_file() or _suite(former) != manifest["suite"]:
            raise UsageError(f"{to} holds something else than a copy of a run of {manifest['suite']!r}: name another")
    manifest["command"] = _without_places(manifest["command"])
    numbers = starts.packed(run.records)
    if len(numbers) > starts.LARGEST:
        say(f"{starts.NAME} would take {len(numbers) / 1e6:.1f} MB and is left out: tables test by standard errors")
        numbers = b""
    try:
        to.mkdir(parents=True, exist_ok=True)
        for made in ("tables", "figures", "sheets"):
            shutil.rmtree(to / made, ignore_errors=True)
        (to / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
        (to / "cells.jsonl").write_text(_records(run.folder / "cells.jsonl"), "utf-8")
        (to / starts.NAME).unlink(missing_ok=True)
        if numbers:
            (to / starts.NAME).write_bytes(numbers)
    except OSError as error:
        raise StorageError(f"cannot write to {to}: {error.strerror or error}") from error
    return to


def _records(path: Path) -> str:
    """The lines that are records, without tracebacks, which name the places of programs."""
    lines = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        with suppress(ValueError, AttributeError):
            lines.append(json.dumps({k: v for k, v in json.loads(line).items() if k != "traceback"}))
    return "".join(f"{line}\n" for line in lines)


def _suite(manifest: Path) -> str | None:
    try:
        return str(json.loads(manifest.read_text("utf-8"))["suite"])
    except (ValueError, TypeError, KeyError):
        return None


def _without_places(command: str) -> str:
    kept: list[str] = []
    words = iter(command.split())
    for word in words:
        if word in PLACES:
            next(words, None)
        elif word.partition("=")[0] not in (*PLACES, *FLAGS):
            kept.append(word)
    return " ".join(kept)
