"""The cache folder: what is in it has been verified, and is verified again whenever it is asked for.

    <cache>/<artifact>/<file>                 of the catalogue
    <cache>/downloads/<sha256[:16]>/<file>    of other addresses
    ....json                                  beside a file without a known checksum: the one trusted on first use
    ....lock                                  held while a process downloads
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from solverbench.artifacts.manifest import Artifact, File
from solverbench.artifacts.transfer import Say, TransferError, discard, storing, transfer
from solverbench.errors import ArtifactError

_TRUST = "--trust-on-first-use (in Python: trust=True)"


def folder() -> Path:
    """SOLVERBENCH_CACHE if that is set, else the user's cache folder for solverbench; it need not exist."""
    named = os.environ.get("SOLVERBENCH_CACHE")
    return Path(named or user_cache_dir("solverbench")).expanduser().absolute()


def place(artifact: Artifact, file: File) -> Path:
    """Where a file of the catalogue is, or will be."""
    return folder() / artifact.name / file.file


def to_stderr(message: str) -> None:
    """How messages reach the user unless the caller says otherwise."""
    print(message, file=sys.stderr, flush=True)


def obtain(file: File, path: Path, *, trust: bool, say: Say) -> Path:
    """`path`, with the bytes of `file` in it: those that are there if they verify, else downloaded and verified.

    Raises ArtifactError when it cannot be downloaded, is not what was expected, or nothing is known to expect and
    `trust` is false; StorageError when it cannot be written.
    """
    if os.path.exists(path):
        return accept(file, path, trust=trust, say=say)
    if not (trust or expected(file, path)):
        raise ArtifactError(
            f"no checksum is known for {file.url}: nothing would tell another file from it; to download it all the "
            f"same, and have its sha256 recorded and asked for from then on, give {_TRUST}"
        )
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if say:
                say(f"another process is downloading {path}: waiting for it")
            lock.acquire()
    try:
        if os.path.exists(path):  # the process we waited for made it
            return accept(file, path, trust=trust, say=say)
        return _download(file, path, say)
    finally:
        lock.release()


def accept(file: File, path: Path, *, trust: bool = False, say: Say = None) -> Path:
    """`path`, which exists, if it verifies; a file nothing is known of is recorded when `trust` is true.

    Raises ArtifactError if it does not verify, or nothing vouches for it and `trust` is false.
    """
    known = expected(file, path)
    if known:
        remedy = f"remove it ({path}) to download it again"
        verify(path, known, _size(file, path), f"{path} is damaged or altered", remedy)
        return path
    if not trust:
        raise ArtifactError(
            f"nothing vouches for {path}: no checksum is known for {file.url}; its sha256 is {digest(path, 'sha256')}; "
            f"to have it recorded and used, give {_TRUST}"
        )
    _record(file, path, path, say)
    return path


def expected(file: File, path: Path) -> tuple[str, str] | None:
    """The checksum `path` must have: ("sha256", digits) or ("md5", digits), known or recorded; None without either."""
    return file.checksum or (("sha256", found["sha256"]) if (found := record(path)) else None)


def record(path: Path) -> Mapping[str, Any] | None:
    """What was recorded beside `path` on first use, or None. Raises ArtifactError if that cannot be read."""
    beside = path.with_name(path.name + ".json")
    try:
        found = json.loads(beside.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{beside} cannot be read ({error}): remove it to trust {path} anew") from None
    if not isinstance(found, dict) or not isinstance(found.get("sha256"), str):
        raise ArtifactError(f"{beside} states no sha256: remove it to trust {path} anew")
    return found


def verify(path: Path, known: tuple[str, str], size: int | None, complaint: str, remedy: str) -> None:
    """Raise ArtifactError, beginning with `complaint`, unless the whole of `path` has that size and checksum."""
    kind, wanted = known
    length = path.stat().st_size
    if size is not None and length != size:
        raise ArtifactError(f"{complaint}: expected {size:,} bytes, it has {length:,}; {remedy}")
    actual = digest(path, kind)
    if actual != wanted:
        raise ArtifactError(f"{complaint}: expected {kind} {wanted}, actual {kind} {actual}; {remedy}")


def digest(path: Path, kind: str) -> str:
    """The sha256 or md5 of a whole file, in hexadecimal digits. Raises ArtifactError if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, kind).hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from None


def _download(file: File, path: Path, say: Say) -> Path:
    """Into the partial file, verified there, then renamed; the lock is held."""
    partial = path.with_name(path.name + ".partial")
    if say:
        size = f"{file.size:,} bytes" if file.size else "size unknown"
        say(f"downloading {file.url} ({size}) to {path}")
    try:
        transfer(file, partial, say)
    except TransferError as error:
        raise ArtifactError(_by_hand(file, path, str(error))) from None
    if known := expected(file, path):
        try:
            complaint = f"what {file.url} sends is not the file expected, and was removed"
            verify(partial, known, _size(file, path), complaint, _source(file, path))
        except ArtifactError:
            discard(partial)
            raise
    else:
        _record(file, path, partial, say)
    with storing(path):
        os.replace(partial, path)
    discard(partial)  # its note
    return path


def _record(file: File, path: Path, content: Path, say: Say) -> None:
    """Write down what `content`, soon or already `path`, is, as what `path` must be from now on."""
    found = digest(content, "sha256")
    entries = {
        "url": file.url,
        "sha256": found,
        "bytes": content.stat().st_size,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "trusted_on_first_use": True,
    }
    beside = path.with_name(path.name + ".json")
    with storing(beside):
        whole = beside.with_name(beside.name + ".partial")
        whole.write_text(json.dumps(entries, indent=1) + "\n", "utf-8")
        os.replace(whole, beside)
    if say:
        say(f"trusted on first use: {path.name} has sha256 {found}, recorded in {beside} and asked for from now on")


def _size(file: File, path: Path) -> int | None:
    if file.size is not None or file.checksum:
        return file.size
    found = (record(path) or {}).get("bytes")
    return found if isinstance(found, int) else None


def _source(file: File, path: Path) -> str:
    """What to do about a download that is not the file expected, by where the expectation came from."""
    if file.checksum:
        return "run the same command again; if it stays so, the file at that address has changed"
    return f"expected is what was recorded in {path}.json: remove that only if you know why the file changed"


def _by_hand(file: File, path: Path, reason: str) -> str:
    known = expected(file, path)
    facts = [f"{file.size:,} bytes" if file.size else "size unknown", " ".join(known) if known else "no checksum known"]
    return (
        f"cannot download {file.file}: {reason}; run the same command again to go on, or by hand: download {file.url} "
        f"({', '.join(facts)}), put it at {path}, and run the same command again, which verifies and uses it"
    )
