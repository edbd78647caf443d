"""What of the user's own files goes with cells to another machine: programs, with the modules beside them that they
import and the files that they name in FILES, and fields that are files.

A parcel is known by the sha256 of its content, is unpacked into a folder that ends with the process, and cells are told
the new place. Everything else a cell needs ships with this package or is fetched by its checksum.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from solverbench.errors import ArtifactError, UsageError
from solverbench.run.desk import Task


@dataclass(frozen=True)
class Parcel:
    """A file, or a folder, that cells call `path`; `name` is its last part."""

    path: str
    name: str
    digest: str
    folder: str
    """Where it is unpacked: programs of one folder of a run meet again, so that what both import is one module."""


MOST = 64
"""MB that a program may have, with the modules and files that go with it."""


def pack(spec: str, run: str) -> tuple[Parcel, bytes] | None:
    """The parcel of a solver program or field, and its content; None where it is nothing of this machine.

    Raises UsageError for what cannot be read or cannot travel: compiled extensions, more than `MOST` megabytes.
    """
    from solverbench.fields.opening import local_files

    if (found := local_files(spec)) is None:
        return None
    path, files = found
    root, stream, program = Path(path).expanduser().absolute().parent, io.BytesIO(), path.endswith(".py")
    try:
        if program:
            _check(path, files)
        with zipfile.ZipFile(stream, "w") as archive:
            for file in files:  # without a date, so that equal files are equal parcels
                archive.writestr(zipfile.ZipInfo(file.absolute().relative_to(root).as_posix()), file.read_bytes())
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read and sent to workers: {error.strerror}") from None
    content = stream.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    folder = hashlib.sha256(f"{run} {root.resolve()}".encode()).hexdigest() if program else digest
    return Parcel(path, Path(path).name, digest, folder), content


def _check(program: str, files: Sequence[Path]) -> None:
    if others := [file for file in files if file.name.endswith(tuple(EXTENSION_SUFFIXES))]:
        raise UsageError(
            f"{program} imports {others[0].name} beside it, which is compiled and cannot be sent to workers: "
            "install it here and there"
        )
    if (size := sum(file.stat().st_size for file in files) / 1e6) > MOST:
        raise UsageError(
            f"{program} has {len(files) - 1} modules and files beside it of {size:.0f} MB, and {MOST} MB at most are "
            "sent to workers: install them here and there"
        )


def unpack(parcel: Parcel, content: bytes) -> str:
    """Where `parcel` is in this process. Raises ArtifactError if the content is not the parcel's or has changed."""
    root = _room() / parcel.folder
    if parcel not in _unpacked:
        if hashlib.sha256(content).hexdigest() != parcel.digest:
            raise ArtifactError(f"{parcel.path} did not arrive as it was sent: its sha256 is another")
        with zipfile.ZipFile(io.BytesIO(content)) as archive, tempfile.TemporaryDirectory(dir=_room()) as torn:
            for name in archive.namelist():
                _place(Path(archive.extract(name, torn)), root / name, parcel)
        _unpacked.add(parcel)
    return str(root / parcel.name)


def _place(whole: Path, place: Path, parcel: Parcel) -> None:
    if place.exists() and place.read_bytes() != whole.read_bytes():
        raise ArtifactError(f"{place.name}, which goes with {parcel.path}, was changed during the run: start a new run")
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(whole, place)


def moved(task: Task, places: dict[str, str]) -> Task:
    """The task with the paths of another machine: `places` has them by those of here."""
    name = task.problem.field
    for path, place in places.items():
        if name == path or name.startswith(f"{path}:"):
            name = place + name.removeprefix(path)
            break
    files = tuple(places.get(path, path) for path in task.files)
    return replace(task, files=files, problem=replace(task.problem, field=name))


@cache
def _room() -> Path:
    _keep.append(tempfile.TemporaryDirectory(prefix="solverbench-"))
    return Path(_keep[0].name).resolve()


_keep: list[tempfile.TemporaryDirectory[str]] = []
_unpacked: set[Parcel] = set()
