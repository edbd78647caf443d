"""The catalogue: manifest.toml, read strictly. An unknown key, a bad checksum or a doubtful address is an error.

schema = 1
[[artifacts]]            the fields of `Artifact`; `terms` may be missing
[[artifacts.files]]      file, url, and bytes, sha256, md5 where they are known
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from solverbench.errors import ArtifactError, UsageError, nearest

SCHEMA = 1
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_RESERVED = (".partial", ".partial.json", ".lock")


@dataclass(frozen=True)
class File:
    """One file to download. Raises UsageError for what can be no file name, address, size or checksum."""

    file: str
    url: str
    size: int | None = None
    """Bytes, where known."""
    sha256: str | None = None
    md5: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.+-]*", self.file) or self.file.endswith(_RESERVED):
            raise UsageError(f"{self.file!r} is not a plain file name: letters, digits and _ - + . after the first")
        check_url(self.url)
        if self.size is not None and self.size < 1:
            raise UsageError(f"{self.file}: a size is a positive number of bytes, got {self.size}")
        for kind, digits in (("sha256", 64), ("md5", 32)):
            value = getattr(self, kind)
            if value is not None and not re.fullmatch(rf"[0-9a-f]{{{digits}}}", value):
                raise UsageError(f"{self.file}: a {kind} has {digits} digits of 0-9 and a-f, got {value!r}")

    @property
    def checksum(self) -> tuple[str, str] | None:
        """The strongest known: ("sha256", digits), ("md5", digits) or None."""
        if self.sha256:
            return "sha256", self.sha256
        return ("md5", self.md5) if self.md5 else None


@dataclass(frozen=True)
class Artifact:
    """Files that belong together, and what one must know before using them."""

    name: str
    about: str
    licence: str
    source: str
    """Where the checksums were found."""
    files: tuple[File, ...]
    terms: str = ""
    """What the licence asks for, when a user must be told."""

    @property
    def size(self) -> int | None:
        """Bytes of all files, or None when one is unknown."""
        sizes = [f.size for f in self.files if f.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None

    @property
    def checksum(self) -> str:
        """The weakest that guards one of its files: "sha256", "md5" or "none known"."""
        kinds = {f.checksum[0] if f.checksum else "none known" for f in self.files}
        return next(kind for kind in ("none known", "md5", "sha256") if kind in kinds)


def catalogue() -> tuple[Artifact, ...]:
    """Every artifact that can be fetched by name, in the manifest's order. Raises ArtifactError if it is malformed."""
    return read(_text())


def find(name: str) -> Artifact:
    """The artifact of that name. Raises UsageError for an unknown one."""
    known = {artifact.name: artifact for artifact in catalogue()}
    if name not in known:
        raise UsageError(f"no artifact is called {name!r}{nearest(name, known)}")
    return known[name]


def read(text: str) -> tuple[Artifact, ...]:
    """The artifacts of a manifest's text. Raises ArtifactError as `catalogue` does."""
    try:
        table = tomllib.loads(text)
        _keys(table, {"schema": int, "artifacts": list}, {}, "manifest")
        if table["schema"] != SCHEMA:
            raise UsageError(f"schema {table['schema']} is not {SCHEMA}, the one this version reads")
        found = tuple(_artifact(entry) for entry in table["artifacts"])
    except (tomllib.TOMLDecodeError, UsageError) as error:
        raise ArtifactError(f"the manifest of artifacts is malformed: {error}; reinstall solverbench") from None
    names = [artifact.name for artifact in found]
    if len(set(names)) < len(names):
        raise ArtifactError(f"the manifest of artifacts has a name twice, among {', '.join(names)}")
    return found


def check_url(url: str) -> None:
    """Raise UsageError unless `url` is https, or http to this machine itself, without a password in it."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{url!r} is no address to download from: write https://host/path")
    if parts.scheme != "https" and not is_local(url):
        raise UsageError(f"{url} is not https: nothing is downloaded over a connection that can be tampered with")


def is_local(url: str) -> bool:
    """Whether `url` is http to this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def _text() -> str:
    try:
        return resources.files("solverbench.artifacts").joinpath("manifest.toml").read_text("utf-8")
    except OSError as error:
        raise ArtifactError(f"the manifest of artifacts is missing ({error.strerror}); reinstall solverbench") from None


def _artifact(entry: Any) -> Artifact:
    texts = dict.fromkeys(("name", "about", "licence", "source"), str)
    where = f"artifact {entry.get('name', '?') if isinstance(entry, dict) else '?'}"
    _keys(entry, {**texts, "files": list}, {"terms": str}, where)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry["name"]) or entry["name"] == "downloads":
        raise UsageError(f"{where}: a name has small letters, digits, - and ., and is not downloads")
    files = []
    for f in entry["files"]:
        _keys(f, {"file": str, "url": str}, {"bytes": int, "sha256": str, "md5": str}, where)
        files.append(File(**{"size" if key == "bytes" else key: value for key, value in f.items()}))
    names = {f.file for f in files}
    if not files or len(names) < len(files) or names & {f"{name}.json" for name in names}:
        raise UsageError(f"{where}: needs files, of different names, none of them another's name and .json")
    return Artifact(**{**entry, "files": tuple(files)})


def _keys(table: Any, needed: dict[str, type], optional: dict[str, type], where: str) -> None:
    """Raise UsageError unless `table` has exactly these keys, with values of these types that are not empty."""
    if not isinstance(table, dict):
        raise UsageError(f"{where}: must be a table, got {table!r}")
    known = needed | optional
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{nearest(key, known)}")
        if type(value) is not known[key] or not value:
            raise UsageError(f"{where}: {key} must be of type {known[key].__name__} and not empty, got {value!r}")
    for key in needed:
        if key not in table:
            raise UsageError(f"{where}: {key} is missing")
