"""The catalogue that ships, and manifests that are refused."""

from __future__ import annotations

import re

import pytest

from solverbench import artifacts
from solverbench.artifacts import manifest
from solverbench.errors import ArtifactError, UsageError

GOOD = """
schema = 1
[[artifacts]]
name = "thing"
about = "a thing"
licence = "Apache-2.0"
source = "somewhere"
[[artifacts.files]]
file = "thing.bin"
url = "https://example.org/thing.bin"
bytes = 3
"""


def test_what_ships():
    found = artifacts.catalogue()
    assert len({a.name for a in found}) == len(found) >= 8
    for artifact in found:
        assert artifact.licence
        assert artifact.source
        for file in artifact.files:
            assert file.url.startswith("https://")
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.checksum or "no checksum found" in artifact.source
            assert file.url.endswith(f"/{file.file}")


def test_the_weights_of_edm_are_said_to_be_non_commercial():
    found = [a for a in artifacts.catalogue() if "nvlabs" in a.files[0].url]
    assert len(found) == 5
    assert all("NC" in a.licence and "NON-COMMERCIAL" in a.terms for a in found)


def test_facts_of_an_artifact():
    (thing,) = manifest.read(GOOD)
    assert (thing.size, thing.checksum, thing.terms) == (3, "none known", "")
    with pytest.raises(AttributeError):
        thing.name = "other"
    assert artifacts.find("cifar10-python").checksum == "md5"
    assert artifacts.find("inception-fid").checksum == "sha256"
    assert artifacts.find("ddpm-cifar10-32").size is None


def test_unknown_names():
    with pytest.raises(UsageError, match=r"no artifact is called 'inception-fidd' \(did you mean inception-fid"):
        artifacts.fetch("inception-fidd")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema 2 is not 1"),
        ("schema = 1", "", "schema is missing"),
        ("schema = 1", "schema =", "malformed: Invalid"),
        ('about = "a thing"', 'abuot = "a thing"', r"artifact thing: unknown key 'abuot' \(did you mean about\?\)"),
        ('licence = "Apache-2.0"', "", "artifact thing: licence is missing"),
        ('licence = "Apache-2.0"', 'licence = ""', "licence must be of type str and not empty"),
        ("bytes = 3", 'bytes = "3"', "bytes must be of type int"),
        ("bytes = 3", "bytes = true", "bytes must be of type int"),
        ("bytes = 3", "bytes = -3", "positive number of bytes"),
        ("bytes = 3", 'sha256 = "abc"', "a sha256 has 64 digits"),
        ("bytes = 3", f'sha256 = "{"A" * 64}"', "a sha256 has 64 digits"),
        ("bytes = 3", f'sah256 = "{"a" * 64}"', "unknown key 'sah256'.*did you mean sha256"),
        ("https://example.org", "http://example.org", "is not https"),
        ("https://example.org", "http://127.0.0.1.example.org", "is not https"),
        ("https://example.org", "ftp://example.org", "is not https"),
        ("https://example.org", "file://", "no address to download from"),
        ("https://example.org", "https://me:secret@example.org", "no address to download from"),
        ("https://example.org", "https://example.org:http", "no address to download from"),
        ('file = "thing.bin"', 'file = "../thing.bin"', "not a plain file name"),
        ('file = "thing.bin"', 'file = ".."', "not a plain file name"),
        ('file = "thing.bin"', 'file = "thing.partial"', "not a plain file name"),
        ('name = "thing"', 'name = "../thing"', "a name has small letters"),
        ('name = "thing"', 'name = "downloads"', "a name has small letters"),
    ],
)
def test_manifests_that_are_refused(old, new, message):
    assert old in GOOD
    with pytest.raises(ArtifactError, match=message):
        manifest.read(GOOD.replace(old, new))


def test_names_that_would_meet_in_the_cache_are_refused():
    with pytest.raises(ArtifactError, match="a name twice, among thing, thing"):
        manifest.read(GOOD + GOOD.replace("schema = 1", ""))
    for other in ("thing.bin", "thing.bin.json"):
        second = f'[[artifacts.files]]\nfile = "{other}"\nurl = "https://example.org/x"\n'
        with pytest.raises(ArtifactError, match="of different names"):
            manifest.read(GOOD + second)
