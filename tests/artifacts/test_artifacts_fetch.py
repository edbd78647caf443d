"""Artifacts by name, and those without a checksum: trusted once, explicitly, and held to it."""

from __future__ import annotations

import hashlib
import json

import pytest

from solverbench import artifacts
from solverbench.artifacts import transfer
from solverbench.errors import ArtifactError

MESSAGES = []


def fetch(**more):
    MESSAGES.clear()
    return artifacts.fetch("thing", say=MESSAGES.append, **more)


def test_a_known_artifact(offer, data, sha, site, cache):
    offer("data.bin", sha256=sha(data), bytes=len(data))
    assert artifacts.cached("thing") is None
    path = fetch()
    assert path == cache / "thing" / "data.bin"
    assert path.read_bytes() == data
    assert MESSAGES[0] == "thing: licence Apache-2.0 - be kind"
    assert artifacts.cached("thing") == path == fetch()
    assert len(site.asked) == 1
    assert not path.with_name("data.bin.json").exists()


def test_an_md5_is_verified_too(offer, data):
    offer("data.bin", md5=hashlib.md5(data).hexdigest())
    assert fetch().read_bytes() == data
    offer("data.bin", md5="0" * 32)
    with pytest.raises(ArtifactError, match=f"expected md5 {'0' * 32}, actual md5 "):
        artifacts.cached("thing")


def test_without_a_checksum_nothing_is_asked_for(offer, data, site, cache):
    offer("data.bin")
    with pytest.raises(ArtifactError, match=r"no checksum is known for http.*give --trust-on-first-use"):
        fetch()
    assert site.asked == []
    assert not cache.exists()


def test_trust_is_recorded_and_asked_for_from_then_on(offer, data, sha, site):
    offer("data.bin")
    path = fetch(trust=True)
    beside = path.with_name("data.bin.json")
    noted = json.loads(beside.read_text())
    assert noted.pop("date").startswith("20")
    assert noted == {
        "url": f"{site.url}data.bin",
        "sha256": sha(data),
        "bytes": len(data),
        "trusted_on_first_use": True,
    }
    assert f"trusted on first use: data.bin has sha256 {sha(data)}" in MESSAGES[-1]
    assert fetch() == artifacts.cached("thing") == path  # without trust: it is known now
    assert len(site.asked) == 1

    path.write_bytes(data[::-1])
    for look in (fetch, lambda: fetch(trust=True), lambda: artifacts.cached("thing")):
        with pytest.raises(ArtifactError, match=f"expected sha256 {sha(data)}, actual sha256 {sha(data[::-1])}"):
            look()

    path.unlink()
    site.content["data.bin"] = data[1:]
    site.etag = '"two"'
    with pytest.raises(ArtifactError, match=r"expected 300,001 bytes, it has 300,000; expected is what was recorded"):
        fetch(trust=True)
    site.content["data.bin"] = data[::-1]
    with pytest.raises(ArtifactError, match=r"expected is what was recorded in .*data\.bin\.json: remove that only"):
        fetch(trust=True)
    assert not path.exists()
    site.content["data.bin"] = data
    assert fetch().read_bytes() == data


def test_a_record_that_cannot_be_read(offer, data):
    offer("data.bin")
    path = fetch(trust=True)
    for text in ("{", "[]", '{"sha256": 3}'):
        path.with_name("data.bin.json").write_text(text)
        with pytest.raises(ArtifactError, match=r"data\.bin\.json .*remove it to trust"):
            fetch(trust=True)


def test_a_file_put_there_by_hand_is_trusted_only_explicitly(offer, data, sha, site, cache):
    offer("data.bin")
    (cache / "thing").mkdir(parents=True)
    (cache / "thing" / "data.bin").write_bytes(data)
    (thing,) = artifacts.catalogue()
    assert artifacts.state(thing, verify=True) == "not vouched for"
    for look in (fetch, lambda: artifacts.cached("thing")):
        with pytest.raises(ArtifactError, match=f"nothing vouches for .*its sha256 is {sha(data)}"):
            look()
    assert fetch(trust=True) == artifacts.cached("thing") == cache / "thing" / "data.bin"
    assert site.asked == []


def test_without_a_checksum_only_the_same_version_is_gone_on_with(offer, data, site, monkeypatch):
    offer("data.bin")
    site.cuts, site.etag = [150_000], None
    assert fetch(trust=True).read_bytes() == data
    assert [wanted for _, wanted, _ in site.asked] == [None, None]


def test_without_a_checksum_a_stream_of_unknown_length_is_refused(offer, data, site, cache):
    offer("data.bin")
    site.length = False
    with pytest.raises(ArtifactError, match="does not say how long the file is"):
        fetch(trust=True)
    assert not (cache / "thing" / "data.bin").exists()
    site.chunked = True
    assert fetch(trust=True).read_bytes() == data


def test_several_files_share_a_folder(offer, data, site, cache, monkeypatch):
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    site.content["config.json"] = b"{}"
    offer("config.json", "data.bin")
    (thing,) = artifacts.catalogue()
    site.cuts = [2, 150_000]
    with pytest.raises(ArtifactError, match=r"cannot download data\.bin"):
        fetch(trust=True)
    assert artifacts.cached("thing") is None
    assert artifacts.state(thing) == artifacts.state(thing, verify=True) == "partial"
    assert fetch(trust=True) == artifacts.cached("thing") == cache / "thing"
    assert [name for name, _, _ in site.asked] == ["config.json", "data.bin", "data.bin"]
    assert (cache / "thing" / "config.json").read_bytes() == b"{}"
    assert artifacts.state(thing) == "cached"
    (cache / "thing" / "config.json").write_bytes(b"[]")
    assert artifacts.state(thing, verify=True) == "altered"
    with pytest.raises(ArtifactError, match=r"config\.json is damaged or altered"):
        artifacts.cached("thing")


def test_a_cache_that_may_only_be_read(offer, data, sha, cache):
    """What is there is verified without a lock and without writing."""
    offer("data.bin", sha256=sha(data))
    path = fetch()
    for lock in cache.rglob("*.lock"):
        lock.unlink()
    before = sorted(cache.rglob("*"))
    assert fetch() == path
    assert sorted(cache.rglob("*")) == before


@pytest.mark.parametrize("verify", [False, True])
def test_states(offer, data, sha, verify):
    offer("data.bin", sha256=sha(data))
    (thing,) = artifacts.catalogue()
    assert artifacts.state(thing, verify=verify) == "absent"
    fetch()
    assert artifacts.state(thing, verify=verify) == ("verified" if verify else "cached")
