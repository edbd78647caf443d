"""Bytes from an address into a partial file, taken up again where they stopped.

    NAME.partial        what has arrived
    NAME.partial.json   of which address and version, so that the rest is of the same (If-Range)

Nothing here decides whether the bytes are the right ones: `store` does, when they are all there.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from solverbench import __version__
from solverbench.artifacts.manifest import File, check_url, is_local
from solverbench.errors import ArtifactError, StorageError, UsageError

LIMIT = 4 * 2**30
"""Bytes a file of unknown size may have."""
ATTEMPTS = 5
PAUSE = 1.0
TIMEOUT = 30.0
"""Seconds between two attempts, and without a byte before an attempt is given up."""
_CHUNK = 2**18
_PLAIN_EVERY = 10.0

Say = Callable[[str], None] | None


class TransferError(Exception):
    """The network or the server did not deliver; the text says what happened. What has arrived is kept."""


class _CutError(TransferError):
    """The connection ended before the file did."""


def transfer(file: File, partial: Path, say: Say) -> None:
    """Bring all of ``file.url`` into `partial`, going on from what is there; a cut connection is taken up again.

    Raises TransferError for network and HTTP errors, ArtifactError for a file of another size than announced or
    allowed, StorageError when it cannot be written; only a file that is too large leaves no partial behind.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _attempt(file, partial, say)
        except _CutError as cut:
            if attempt == ATTEMPTS - 1:
                raise TransferError(f"{cut}, {ATTEMPTS} times; {_held(partial):,} bytes are kept") from None
            if say:
                say(f"{cut}; going on from byte {_held(partial):,}")
            time.sleep(PAUSE)
    return None


def discard(partial: Path) -> None:
    """Remove a partial file and what is noted about it."""
    with storing(partial):
        partial.unlink(missing_ok=True)
        _note(partial).unlink(missing_ok=True)


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn an OSError of the file system into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; what has arrived is kept: make room there, or name "
            "another folder in the environment variable SOLVERBENCH_CACHE, and run the same command again"
        ) from error


def _attempt(file: File, partial: Path, say: Say) -> None:
    offset, validator = _resumable(file, partial)
    if file.size is not None and offset == file.size:
        return None  # a process that was ended between the last byte and the verification
    headers = {"Range": f"bytes={offset}-"} | ({"If-Range": validator} if validator else {}) if offset else {}
    try:
        response = _open(file.url, headers)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and offset:
            discard(partial)
            return _attempt(file, partial, say)
        raise TransferError(f"the server answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise TransferError(_reason(error)) from None
    with response:
        start, total = _extent(response)
        if response.status == 206 and start != offset:  # another part than the one asked for
            discard(partial)
            raise _CutError("the server sends another part of the file")
        _announced(file, total)
        _receive(file, response, partial, start, total, say)
    return None


def _receive(
    file: File, response: http.client.HTTPResponse, partial: Path, start: int, total: int | None, say: Say
) -> None:
    """Append the body to the first `start` bytes of `partial`; `total` is the size of the whole file, if announced."""
    limit = file.size or LIMIT
    here = start
    with storing(partial):
        out = open(partial, "ab" if start else "wb", buffering=0)  # noqa: SIM115  # closed below
        if start == 0:
            _note(partial).write_text(json.dumps({"url": file.url, "version": _version(response)}) + "\n", "utf-8")
    with out, _progress(file.file, start, file.size or total, say) as arrived:
        while total is None or here < total:
            try:
                chunk = response.read1(_CHUNK if total is None else min(_CHUNK, total - here))
            except (OSError, http.client.HTTPException) as error:
                raise _CutError(f"the connection was lost at byte {here:,} ({_reason(error)})") from None
            if not chunk:
                break
            here += len(chunk)
            if here > limit:
                out.close()
                discard(partial)
                raise ArtifactError(f"{file.url} sends more than {limit:,} bytes: not kept, this is not the file")
            with storing(partial):
                view = memoryview(chunk)
                while view:
                    view = view[out.write(view) :]
            arrived(len(chunk))
        with storing(partial):
            os.fsync(out.fileno())
    if here < (total or file.size or 0):
        raise _CutError(f"the connection ended at byte {here:,} of {total or file.size:,}")
    if total is None and not response.chunked and not (file.size or file.checksum):
        raise TransferError("the server does not say how long the file is, and nothing else tells when it is complete")


def _resumable(file: File, partial: Path) -> tuple[int, str | None]:
    """Bytes of `partial` to go on from, and the version they are of; 0 when it must be started again.

    Without a known checksum only a version that the server names makes sure that the rest fits.
    """
    held = _held(partial)
    if not held:
        return 0, None
    try:
        note = json.loads(_note(partial).read_text("utf-8"))
        version = note["version"]
        fits = note["url"] == file.url and bool(version or file.checksum) and held <= (file.size or LIMIT)
    except (OSError, ValueError, TypeError, KeyError):
        fits = False
    if not fits:
        discard(partial)
        return 0, None
    return held, version


def _held(partial: Path) -> int:
    try:
        return partial.stat().st_size
    except FileNotFoundError:
        return 0


def _note(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _version(response: http.client.HTTPResponse) -> str | None:
    """What the server calls this version of the file, fit for If-Range."""
    etag = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """The byte at which the body begins, and the size of the whole file if the server says it."""
    if response.status == 200:
        return 0, response.length
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if response.status != 206 or not found:
        raise TransferError(f"the server answers {response.status} {response.reason}, which is not the file")
    return int(found[1]), None if found[3] == "*" else int(found[3])


def _announced(file: File, total: int | None) -> None:
    if total is None:
        return
    if file.size is not None and total != file.size:
        raise ArtifactError(
            f"{file.url} is another file than expected: it has {total:,} bytes, {file.size:,} were expected; "
            "not downloaded"
        )
    if file.size is None and total > LIMIT:
        raise ArtifactError(f"{file.url} has {total:,} bytes, more than the limit of {LIMIT:,}: not downloaded")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and from this machine to itself; all else is refused."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        fp.close()  # its body, of any length, is not read
        try:
            check_url(newurl)
            if is_local(newurl) and not is_local(req.full_url):
                raise UsageError(f"{newurl} is this machine")
        except UsageError as error:
            raise TransferError(f"the server redirects to where nothing is downloaded from: {error}") from None
        return super().redirect_request(req, fp, code, msg, cast(http.client.HTTPMessage, headers), newurl)


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    handlers: list[urllib.request.BaseHandler] = [_Redirects()]
    if is_local(url):
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"User-Agent": f"solverbench/{__version__}", **headers})
    return cast(http.client.HTTPResponse, urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT))


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause) or type(error).__name__


@contextmanager
def _progress(name: str, start: int, total: int | None, say: Say) -> Iterator[Callable[[int], object]]:
    """Yields what is told of each arrival: a bar on a terminal, else a line now and then; nothing without `say`."""
    if say and sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=name, total=total, initial=start, unit="B", unit_scale=True, file=sys.stderr) as bar:
            yield bar.update
        return
    here, last = start, time.monotonic()

    def arrived(count: int) -> None:
        nonlocal here, last
        here += count
        if say and time.monotonic() - last > _PLAIN_EVERY:
            last = time.monotonic()
            say(f"{name}: {here:,} bytes" + (f" of {total:,}" if total else ""))

    yield arrived
