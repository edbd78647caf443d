"""Public files that are too large or not ours to ship: fetched on request, verified before they are used.

    from solverbench import artifacts

    artifacts.fetch("inception-fid")                    # the path, downloaded once
    artifacts.cached("edm-cifar10-uncond-vp")           # the path, or None; never uses the network
    artifacts.download("https://...", "<sha256>")       # any other file

Nothing in this package downloads anything unless one of `fetch` and `download` is called. A file gets its name only
after its size and checksum agree; one without a known checksum must be trusted explicitly, once.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from solverbench.artifacts.manifest import Artifact, File, catalogue, find
from solverbench.artifacts.store import accept, expected, folder, obtain, place, to_stderr
from solverbench.artifacts.transfer import Say
from solverbench.errors import ArtifactError, UsageError

__all__ = ["Artifact", "File", "cached", "catalogue", "download", "fetch", "find", "folder", "location", "state"]


def fetch(name: str, *, trust: bool = False, say: Say = to_stderr) -> Path:
    """The artifact of that name: its file, or its folder when it has several; downloaded unless it is there.

    `trust` accepts what comes where no checksum is known, and records it; `say` receives messages, among them the
    licence. Raises UsageError for an unknown name, ArtifactError when it cannot be downloaded or does not verify,
    StorageError when it cannot be written.
    """
    artifact = find(name)
    if say:
        say(f"{name}: licence {artifact.licence}" + (f" - {artifact.terms}" if artifact.terms else ""))
    for file in artifact.files:
        obtain(file, place(artifact, file), trust=trust, say=say)
    return location(artifact)


def cached(name: str) -> Path | None:
    """Where the artifact is, all its files verified, or None when one is missing.

    Raises UsageError for an unknown name, ArtifactError for a file that is altered or that nothing vouches for.
    """
    artifact = find(name)
    places = [place(artifact, file) for file in artifact.files]
    if not all(os.path.exists(path) for path in places):
        return None
    for file, path in zip(artifact.files, places, strict=True):
        accept(file, path)
    return location(artifact)


def download(url: str, sha256: str, *, name: str | None = None, size: int | None = None, say: Say = to_stderr) -> Path:
    """The file at `url` whose checksum is `sha256`, in the cache as `name` (the address's last part unless given).

    `size` in bytes, where known, is verified too and bounds what is downloaded (4 GiB without). Raises UsageError for
    an address that is not https, a bad name or checksum; ArtifactError and StorageError as `fetch` does.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"a sha256 has 64 hexadecimal digits, got {sha256!r}")
    name = name or PurePosixPath(unquote(urlsplit(url).path)).name
    file = File(name, url, size, sha256.lower())
    return obtain(file, folder() / "downloads" / sha256[:16].lower() / file.file, trust=False, say=say)


def location(artifact: Artifact) -> Path:
    """Where `fetch` puts it: the path of its only file, or the folder of several."""
    home = folder() / artifact.name
    return home / artifact.files[0].file if len(artifact.files) == 1 else home


def state(artifact: Artifact, *, verify: bool = False) -> str:
    """What is in the cache: "absent", "partial" or "cached".

    With `verify` the checksums are computed, and cached becomes "verified", "altered" or "not vouched for".
    """
    places = [place(artifact, file) for file in artifact.files]
    present = [os.path.exists(path) for path in places]
    if not all(present):
        begun = any(present) or any(os.path.exists(f"{path}.partial") for path in places)
        return "partial" if begun else "absent"
    if not verify:
        return "cached"
    try:
        cached(artifact.name)
    except ArtifactError:
        with suppress(ArtifactError):  # a record that cannot be read
            if not all(expected(file, path) for file, path in zip(artifact.files, places, strict=True)):
                return "not vouched for"
        return "altered"
    return "verified"
