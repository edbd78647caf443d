"""A run's folder: manifest first, then one line per finished cell, written at once.

    manifest.json     what was asked for, of what, on what
    cells.jsonl       one flat record per finished cell, in order of completion
    arrays/           <cell>.npz: pictures, and squared errors by start; reference-<problem>.npz: pictures

A run that is killed keeps every finished cell; what renders it reads these files and nothing else.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from solverbench.errors import StorageError, UsageError

SCHEMA = 1


class RunFolder:
    """Writes one run. Raises UsageError if the folder cannot be made or written, before any work is done."""

    def __init__(self, root: Path, suite: str, name: str | None = None) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        parent = root / suite
        folder = parent / (name or stamp)
        for n in range(2, 1000):
            if name or not folder.exists():
                break
            folder = parent / f"{stamp}-{n}"
        try:
            folder.mkdir(parents=True, exist_ok=bool(name))
            (folder / "arrays").mkdir(exist_ok=True)
            self._cells = open(folder / "cells.jsonl", "x", encoding="utf-8")  # noqa: SIM115  # closed by close()
        except FileExistsError:
            raise UsageError(f"{folder} already holds a run: choose another --out or remove it") from None
        except OSError as error:
            raise UsageError(f"cannot write results to {folder}: {error.strerror}; choose another --out") from None
        self.path = folder

    def manifest(self, entries: Mapping[str, Any]) -> None:
        """Write manifest.json: the given entries, and where and with what the run takes place."""
        manifest = {
            "schema": SCHEMA,
            "run": self.path.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **entries,
            **_commit(),
            "versions": _versions(),
            "hardware": _hardware(),
        }
        (self.path / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one finished cell and make sure it is on disk. Numbers that are not finite become null."""
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
        with self._writing():
            self._cells.write(json.dumps(clean) + "\n")
            self._cells.flush()
            os.fsync(self._cells.fileno())

    def arrays(self, name: str, **arrays: np.ndarray[Any, Any] | None) -> None:
        """Store arrays under a name, those that are None left out; nothing if all are."""
        given = {key: array for key, array in arrays.items() if array is not None}
        if given:
            with self._writing():
                np.savez_compressed(self.path / "arrays" / f"{name}.npz", **given)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close the record file."""
        with suppress(OSError):  # what could not be flushed has been reported by the writing that failed
            self._cells.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot write to {self.path}: {error.strerror or error}; the cells finished before are kept there"
            ) from error


def _versions() -> dict[str, str]:
    packages = ("solverbench", "torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn")
    found = {name: metadata.version(name) for name in packages if _installed(name)}
    return {"python": platform.python_version(), **found}


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _hardware() -> dict[str, Any]:
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
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
