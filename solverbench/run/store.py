"""A run's folder: manifest first, then one line per finished cell, written at once.

    manifest.json     what was asked for, of what, on what
    cells.jsonl       one flat record per finished cell, in order of completion
    arrays/           <cell>.npz: pictures, squared errors by start, errors along the trajectory;
                      reference-<problem>.npz: pictures

A run that is killed keeps every finished cell and can be resumed; what renders it reads these files and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from solverbench.errors import StorageError, UsageError
from solverbench.room import installed_memory

if TYPE_CHECKING:
    from solverbench.run.cells import Cell

SCHEMA = 1
NAMED = ("cell", "problem", "kind", "solver", "status")
"""Texts that every record has."""


class RunFolder:
    """Writes one run; nobody else can meanwhile.

    Raises UsageError if the folder cannot be made or written, or is being written, before any work is done.
    """

    def __init__(self, root: Path, suite: str, name: str | None = None) -> None:
        if name is not None and (name != Path(name).name or name in ("", "..")):
            raise UsageError(f"a run's folder is called by a name, not a path, got {name!r}: --out says where it goes")
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        parent = root / suite
        folder = parent / (name or stamp)
        for n in range(2, 1000):
            if name or not folder.exists():
                break
            folder = parent / f"{stamp}-{n}"
        self.path, self.resumed, self.finished = folder, False, set[str]()
        self._lock = FileLock(folder / ".lock", blocking=False)
        with self._opening():
            folder.mkdir(parents=True, exist_ok=bool(name))
            (folder / "arrays").mkdir(exist_ok=True)
            self._lock.acquire()  # the system lets go of it when this process ends, however that happens
            self._cells: IO[bytes] = open(folder / "cells.jsonl", "ab")  # noqa: SIM115  # closed by close()
            if self._cells.tell() or (folder / "manifest.json").exists():  # else a run that died before its manifest
                self._cells.close()
                raise FileExistsError

    @classmethod
    def again(cls, folder: Path) -> RunFolder:
        """Open a run that was ended early, to finish it. `finished` is what it has; cells that failed are not.

        A last line that was torn when the run died is dropped. Raises UsageError as the constructor does, and if the
        folder holds no run.
        """
        self = cls.__new__(cls)
        self.path, self.resumed = folder, True
        if not (folder / "manifest.json").is_file():
            raise UsageError(f"{folder} holds no run that could be resumed: it has no manifest.json")
        self._lock = FileLock(folder / ".lock", blocking=False)
        with self._opening():
            self._lock.acquire()
            (folder / "arrays").mkdir(exist_ok=True)
            self._cells = open(folder / "cells.jsonl", "a+b")  # noqa: SIM115  # closed by close()
            self._cells.seek(0)
            content = self._cells.read()
            whole = content.rfind(b"\n") + 1
            self._cells.truncate(whole)
        records, _ = last_words(content[:whole])
        self.finished = {cell for cell, record in records.items() if record["status"] != "failed"}
        return self

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except Timeout:
            raise UsageError(
                f"{self.path} is being written by another process: wait for it, or choose another --out"
            ) from None
        except FileExistsError:
            self._lock.release()
            raise UsageError(
                f"{self.path} already holds a run: finish it with --resume {self.path}, "
                "choose another --out or remove it"
            ) from None
        except OSError as error:
            raise UsageError(f"cannot write results to {self.path}: {error.strerror}; choose another --out") from None

    def manifest(self, entries: Mapping[str, Any]) -> None:
        """Write manifest.json: the given entries, and where and with what the run takes place."""
        manifest = {
            "schema": SCHEMA,
            "run": self.path.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **entries,
            **surroundings(),
        }
        with self._writing():
            torn = self.path / ".manifest.json"  # until it is whole
            torn.write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
            torn.replace(self.path / "manifest.json")

    def append(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Add one finished cell and make sure it is on disk. Returns it as written: not finite numbers are None."""
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
        with self._writing():
            self._cells.write(json.dumps(clean).encode() + b"\n")
            self._cells.flush()
            os.fsync(self._cells.fileno())
        if not os.fstat(self._cells.fileno()).st_nlink:  # what is written to a file without a name is lost
            raise StorageError(f"{self.path} has been removed while the run was writing it: start a new run")
        return clean

    def arrays(self, name: str, **arrays: np.ndarray[Any, Any] | None) -> None:
        """Store arrays under a name, those that are None left out; nothing if all are."""
        given = {key: array for key, array in arrays.items() if array is not None}
        if given:
            with self._writing():
                torn = self.path / "arrays" / f".{name}.npz"  # until it is whole
                np.savez_compressed(torn, **given)  # type: ignore[arg-type]
                torn.replace(torn.with_name(f"{name}.npz"))

    def records(self) -> list[dict[str, Any]]:
        """The last word on each cell so far."""
        records, _ = last_words((self.path / "cells.jsonl").read_bytes())
        return list(records.values())

    def close(self) -> None:
        """Close the record file and let go of the folder."""
        with suppress(OSError):  # what could not be flushed has been reported by the writing that failed
            self._cells.close()
        with suppress(OSError):  # before others can have it: a file without a name is nobody's lock
            (self.path / ".lock").unlink()
        self._lock.release()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot write to {self.path}: {error.strerror or error}; the cells finished before are kept there: "
                f"make room, then --resume {self.path}"
            ) from error


def last_words(content: bytes) -> tuple[dict[str, dict[str, Any]], list[int]]:
    """Of cells.jsonl the last record of each cell, by its name, and the numbers of the lines that are no record."""
    last: dict[str, dict[str, Any]] = {}
    others = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not (all(isinstance(record[key], str) for key in NAMED) and isinstance(record["budget"], int)):
                raise TypeError
            last[record["cell"]] = record
        except (ValueError, TypeError, KeyError, RecursionError):
            others.append(number)
    return last, others


def own_files(cells: Iterable[Cell]) -> dict[str, str]:
    """The user's own files that numbers of these cells come from, with their sha256.

    Programs that registered solvers, fields, what programs import from beside them, and files that are options.
    """
    from solverbench.fields.opening import local_files
    from solverbench.methods.user import files

    cells = tuple(cells)
    fields, solvers = {cell.problem.spec.field for cell in cells}, {str(cell.solver): cell.solver for cell in cells}
    local = [entry[1] for name in [*map(str, files()), *fields] if (entry := local_files(name))]
    options = [Path(value) for solver in solvers.values() for value in solver.options.values() if type(value) is str]
    found = sorted({file.absolute() for file in chain(*local, options) if file.is_file()})
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


def surroundings() -> dict[str, Any]:
    """Commit, versions and hardware: what a number's circumstances are."""
    return {**_commit(), "versions": _versions(), "hardware": _hardware()}


def _versions() -> dict[str, str]:
    packages = ("solverbench", "torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn")
    found = {"python": platform.python_version()}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _hardware() -> dict[str, Any]:
    import torch

    memory = installed_memory()
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(memory / 2**30, 1) if memory else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _commit() -> dict[str, Any]:
    """The commit of the source this runs from, if it is a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) not in Path(__file__).resolve().parents:
            return {"commit": None, "dirty": None}
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def command_line() -> str:
    """How this process was started, without the path of the interpreter."""
    return " ".join(["solverbench", *sys.argv[1:]])
