"""What of the user's own files goes with cells to another machine: solver programs, and fields that are files.

A parcel is known by the sha256 of its content, is unpacked into a folder of its own that ends with the process, and
cells are told the new place. Everything else a cell needs ships with this package or is fetched by its checksum.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from solverbench.errors import ArtifactError, UsageError
from solverbench.run.desk import Task


@dataclass(frozen=True)
class Parcel:
    """A file, or a folder, that cells call `path`; `name` is its last part."""

    path: str
    name: str
    digest: str


def needed(task: Task) -> list[tuple[str, tuple[Path, ...]]]:
    """(path as the task has it, files) of all that a task needs and that is of this machine."""
    from solverbench.fields.opening import local_files

    field = local_files(task.problem.field)
    return [*((path, (Path(path),)) for path in task.files), *([field] if field else [])]


def pack(path: str, files: Iterable[Path]) -> tuple[Parcel, bytes]:
    """The parcel of these files, which lie below or beside `path`, and its content. Raises UsageError without them."""
    root, stream = Path(path).expanduser().absolute().parent, io.BytesIO()
    try:
        with zipfile.ZipFile(stream, "w") as archive:
            for file in files:  # without a date, so that equal files are equal parcels
                archive.writestr(zipfile.ZipInfo(file.absolute().relative_to(root).as_posix()), file.read_bytes())
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read and sent to workers: {error.strerror}") from None
    content = stream.getvalue()
    return Parcel(path, Path(path).name, hashlib.sha256(content).hexdigest()), content


def unpack(parcel: Parcel, content: bytes) -> str:
    """Where `parcel` is in this process. Raises ArtifactError if the content is not the parcel's."""
    root = _room() / parcel.digest
    if not root.exists():
        if hashlib.sha256(content).hexdigest() != parcel.digest:
            raise ArtifactError(f"{parcel.path} did not arrive as it was sent: its sha256 is another")
        torn = Path(tempfile.mkdtemp(dir=_room()))
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(torn)
        torn.rename(root)
    return str(root / parcel.name)


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
