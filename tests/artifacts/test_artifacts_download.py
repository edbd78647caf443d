"""Downloads from a server that cuts, lies and forgets: what ends up in the cache is the file, or nothing."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

from solverbench import artifacts
from solverbench.artifacts import transfer
from solverbench.errors import ArtifactError, StorageError, UsageError

HALF = 150_000


@pytest.fixture
def get(site, data, sha):
    """get(): download data.bin with its checksum; keywords change that."""
    return lambda url=None, sha256=None, **more: artifacts.download(
        url or f"{site.url}data.bin", sha256 or sha(data), **more
    )


def files(cache):
    return sorted(p.name for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock")


def partial(cache):
    (found,) = cache.rglob("*.partial")
    return found


@pytest.fixture
def once(monkeypatch):
    """A cut connection is not taken up again within the call."""
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)


def test_a_whole_file_arrives_once(get, site, data, cache):
    path = get()
    assert path.read_bytes() == data
    assert cache in path.parents
    assert files(cache) == ["data.bin"]
    assert get(sha256=None) == path
    assert [a[0] for a in site.asked] == ["data.bin"]


def test_messages_say_what_comes_from_where(get, site, capsys):
    said = []
    get(say=said.append)
    assert said[0].startswith(f"downloading {site.url}data.bin (size unknown) to /")
    get(say=None, name="quiet.bin")
    assert capsys.readouterr() == ("", "")
    get(name="loud.bin")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("downloading ")


def test_a_terminal_gets_a_bar(get, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    get()
    assert "data.bin: 100%" in capsys.readouterr().err


def test_a_log_gets_lines(get, capsys, monkeypatch):
    monkeypatch.setattr(transfer, "_PLAIN_EVERY", -1.0)
    get()
    assert "data.bin: 300,001 bytes of 300,001" in capsys.readouterr().err


@pytest.mark.parametrize("chunked", [False, True])
def test_a_cut_connection_is_taken_up_again(get, site, data, chunked):
    site.cuts, site.chunked, said = [HALF, 1000], chunked, []
    assert get(say=said.append).read_bytes() == data
    assert len(site.asked) == 3
    for _, wanted, version in site.asked[1:]:
        assert wanted.startswith("bytes=")
        assert version == '"one"'
    if not chunked:
        assert [wanted for _, wanted, _ in site.asked] == [None, "bytes=150000-", "bytes=151000-"]
        assert any("going on from byte 150,000" in line for line in said)


def test_an_interruption_keeps_what_arrived_and_a_later_call_goes_on(get, site, data, cache, once):
    site.cuts = [HALF]
    with pytest.raises(ArtifactError, match=r"the connection ended at byte 150,000 of 300,001.*150,000 bytes are kept"):
        get()
    assert partial(cache).read_bytes() == data[:HALF]
    assert get().read_bytes() == data
    assert site.asked[-1] == ("data.bin", "bytes=150000-", '"one"')
    assert files(cache) == ["data.bin"]


def test_a_server_that_ignores_ranges_starts_over(get, site, data):
    site.cuts, site.ranges = [HALF], False
    assert get().read_bytes() == data
    assert site.asked[-1][1] == "bytes=150000-"


def test_another_version_on_the_server_starts_over(get, site, data, cache, once, sha):
    site.cuts = [HALF]
    with pytest.raises(ArtifactError):
        get()
    site.content["data.bin"] = other = data[::-1]
    site.etag = '"two"'
    assert artifacts.download(f"{site.url}data.bin", sha(other)).read_bytes() == other
    (left,) = cache.rglob("*.partial")  # under its own checksum
    assert left.read_bytes() == data[:HALF]


def test_a_partial_file_that_is_too_long_is_answered_416_and_started_over(get, site, data, cache, once):
    site.cuts = [HALF]
    with pytest.raises(ArtifactError):
        get()
    with partial(cache).open("ab") as out:
        out.write(bytes(400_000))
    assert get().read_bytes() == data
    assert [wanted for _, wanted, _ in site.asked] == [None, "bytes=550000-", None]


def test_a_partial_file_of_another_address_is_not_gone_on_with(get, site, data, cache, once):
    site.cuts = [HALF]
    with pytest.raises(ArtifactError):
        get()
    site.content["moved.bin"] = data
    assert get(f"{site.url}moved.bin", name="data.bin").read_bytes() == data
    assert site.asked[-1] == ("moved.bin", None, None)


def test_another_part_than_the_one_asked_for_is_started_over(get, site, data):
    site.cuts, site.part = [HALF], 7
    assert get().read_bytes() == data
    assert site.asked[-1][1] is None


def test_a_complete_partial_file_needs_no_network(get, site, data, cache, once):
    site.cuts = [HALF]
    with pytest.raises(ArtifactError):
        get(size=len(data))
    partial(cache).write_bytes(data)
    assert get(size=len(data)).read_bytes() == data
    assert len(site.asked) == 1


def test_a_damaged_partial_file_is_found_out(get, site, data, cache, once):
    site.cuts = [HALF]
    with pytest.raises(ArtifactError):
        get()
    partial(cache).write_bytes(b"x" + data[1:HALF])
    with pytest.raises(ArtifactError, match="not the file expected, and was removed"):
        get()
    assert get().read_bytes() == data  # from the beginning
    assert site.asked[-1][1] is None


def test_a_wrong_checksum_leaves_nothing(get, data, sha, cache):
    with pytest.raises(ArtifactError, match=f"expected sha256 {'0' * 64}, actual sha256 {sha(data)}"):
        get(sha256="0" * 64)
    assert files(cache) == []


def test_a_wrong_size_is_refused_before_anything_is_kept(get, cache):
    with pytest.raises(ArtifactError, match="it has 300,001 bytes, 300,000 were expected; not downloaded"):
        get(size=300_000)
    assert files(cache) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_stream_that_does_not_end_is_stopped(get, site, cache, chunked):
    site.length, site.chunked = False, chunked
    with pytest.raises(ArtifactError, match="sends more than 100,000 bytes: not kept"):
        get(size=100_000)
    assert files(cache) == []


def test_files_of_unknown_size_have_a_limit(get, site, cache, monkeypatch):
    monkeypatch.setattr(transfer, "LIMIT", 200_000)
    with pytest.raises(ArtifactError, match="300,001 bytes, more than the limit of 200,000: not downloaded"):
        get()
    site.length = False
    with pytest.raises(ArtifactError, match="sends more than 200,000 bytes"):
        get()
    assert files(cache) == []


@pytest.mark.parametrize("length", [True, False])
def test_a_file_that_is_too_short_is_not_accepted(get, site, data, length, once):
    site.length = length
    site.content["data.bin"] = data[:HALF]
    with pytest.raises(ArtifactError):
        get(size=len(data))


def test_redirects(get, site, data):
    site.redirects["a"] = f"{site.url}data.bin"
    assert get(f"{site.url}a", name="a.bin").read_bytes() == data


@pytest.mark.parametrize("target", ["http://example.org/data.bin", "ftp://example.org/x", "file:///etc/passwd"])
def test_redirects_to_where_the_connection_can_be_tampered_with(get, site, cache, target):
    site.redirects["a"] = target
    with pytest.raises(ArtifactError, match=r"a: the server (redirects to where|answers 302 .*not allowed)"):
        get(f"{site.url}a")
    assert files(cache) == []


def test_a_redirect_into_this_machine_is_refused():
    handler = transfer._Redirects()
    request = transfer.urllib.request.Request("https://example.org/a")
    with open(os.devnull, "rb") as body, pytest.raises(transfer.TransferError, match="is this machine"):
        handler.redirect_request(request, body, 302, "Found", {}, "http://127.0.0.1/secret")


def test_a_redirect_in_circles(get, site):
    site.redirects["a"] = f"{site.url}a"
    with pytest.raises(ArtifactError, match="302"):
        get(f"{site.url}a")


@pytest.mark.parametrize(
    ("url", "sha256", "message"),
    [
        ("http://example.org/a", "0" * 64, "is not https"),
        ("https://example.org/", "0" * 64, "not a plain file name"),
        ("https://example.org/..%2Fa", "0" * 63 + "x", "64 hexadecimal digits"),
        ("https://example.org/a%00b", "0" * 64, "not a plain file name"),
        ("nonsense", "0" * 64, "no address to download from"),
    ],
)
def test_what_cannot_be_downloaded(url, sha256, message):
    with pytest.raises(UsageError, match=message):
        artifacts.download(url, sha256)


@pytest.mark.parametrize(("status", "reason"), [(404, "404 Not Found"), (503, "503 Service Unavailable")])
def test_http_errors(get, site, status, reason):
    site.status = status
    with pytest.raises(ArtifactError, match=f"the server answers {reason}"):
        get()
    assert len(site.asked) == 1


def test_offline_says_what_to_put_where_and_then_uses_it(data, sha, cache):
    url = "http://127.0.0.1:9/data.bin"  # the discard port: nobody listens
    with pytest.raises(ArtifactError, match=r"cannot download data\.bin: Connection refused") as error:
        artifacts.download(url, sha(data), size=len(data))
    path = cache / "downloads" / sha(data)[:16] / "data.bin"
    for part in (f"download {url} (300,001 bytes, sha256 {sha(data)})", f"put it at {path}", "verifies and uses it"):
        assert part in str(error.value)
    path.write_bytes(data)
    assert artifacts.download(url, sha(data), size=len(data)) == path
    path.write_bytes(data[:-1])
    with pytest.raises(ArtifactError, match="expected 300,001 bytes, it has 300,000"):
        artifacts.download(url, sha(data), size=len(data))


def test_a_file_altered_in_the_cache_is_noticed_and_not_touched(get, data, site, sha):
    path = get()
    changed = bytearray(data)
    changed[1234] ^= 1
    path.write_bytes(changed)
    message = f"damaged or altered: expected sha256 {sha(data)}, actual sha256 {sha(changed)}; remove it"
    with pytest.raises(ArtifactError, match=message):
        get()
    assert path.read_bytes() == changed
    path.unlink()
    assert get().read_bytes() == data


def test_a_full_disk_keeps_what_arrived(get, site, data, cache):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write /.*data\.bin\.partial: .*SOLVERBENCH_CACHE"):
            get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert partial(cache).read_bytes() == data[:HALF]
    assert get().read_bytes() == data
    assert site.asked[-1][1] == "bytes=150000-"


def test_a_cache_that_cannot_be_made(get, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"cannot write .*SOLVERBENCH_CACHE"):
        get()


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert artifacts.folder() == tmp_path / "cache"
    monkeypatch.delenv("SOLVERBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert artifacts.folder() == tmp_path / "solverbench"
    monkeypatch.setenv("SOLVERBENCH_CACHE", "~/x")
    monkeypatch.setenv("HOME", "/nowhere")
    assert str(artifacts.folder()) == "/nowhere/x"


def process(site, data, sha):
    code = f"from solverbench import artifacts\nprint(artifacts.download({site.url + 'data.bin'!r}, {sha(data)!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_download_once(site, data, sha, get):
    site.gate = threading.Event()
    with process(site, data, sha) as first:
        assert site.halfway.wait(10)
        with process(site, data, sha) as second:
            assert second.stderr.readline().startswith("another process is downloading ")
            site.gate.set()
            outs = {p.communicate(timeout=10)[0] for p in (first, second)}
            assert (first.returncode, second.returncode) == (0, 0)
    assert outs == {f"{get()}\n"}
    assert len(site.asked) == 1


def test_two_threads_download_once(site, data, get):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(get())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(paths) == 4
    assert len(site.asked) == 1
    assert paths[0].read_bytes() == data


def test_a_killed_process_is_gone_on_from(site, data, sha, get):
    site.gate = threading.Event()
    with process(site, data, sha) as killed:
        assert site.halfway.wait(10)
        for _ in range(200):  # until all of the first half is written
            if any(p.stat().st_size == HALF for p in artifacts.folder().rglob("*.partial")):
                break
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=10)
    site.gate.set()
    assert get().read_bytes() == data
    assert site.asked[-1][1] == "bytes=150000-"


def test_the_note_beside_a_partial_file_says_of_what_it_is(get, site, cache, once):
    site.cuts = [HALF]
    with pytest.raises(ArtifactError):
        get()
    (note,) = cache.rglob("*.partial.json")
    assert json.loads(note.read_text()) == {"url": f"{site.url}data.bin", "version": '"one"'}
    note.write_text("{")
    get()
    assert site.asked[-1][1] is None
