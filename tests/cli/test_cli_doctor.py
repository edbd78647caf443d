"""The doctor's report: complete, harmless, and right about what is broken."""

from __future__ import annotations

import json

import pytest

from solverbench import doctor, pretrained
from solverbench.errors import ArtifactError


@pytest.fixture(scope="module")
def findings():
    """One examination of this machine."""
    return doctor.examine()


def test_everything_is_looked_at(findings):
    topics = {f.topic for f in findings}
    assert {"python", "cpu", "packages", "torch", "cupy", "nvrtc", "fetched"} <= topics
    assert {f"engine {name}" for name in ("numpy", "torch", "cupy")} <= topics
    assert {f"pretrained {name}" for name in pretrained.names()} <= topics
    assert doctor.healthy(findings)
    assert all(f.remedy for f in findings if f.state != "ok")


def test_a_broken_part_is_a_finding_and_the_exit_code_is_one(solverbench, monkeypatch):
    def altered(name):
        raise ArtifactError(f"{name}.safetensors is not what its card describes: reinstall solverbench")

    def faint():
        raise OSError("libcuda.so: cannot open")

    monkeypatch.setattr(pretrained, "tensors", altered)
    monkeypatch.setattr(doctor, "_cupy", faint)
    faint.__name__ = "_cupy"
    shown = solverbench("doctor", "--json")
    report = json.loads(shown.out)
    assert shown.code == 1
    assert not report["healthy"]
    broken = {f["topic"]: f for f in report["findings"] if f["state"] == "broken"}
    assert broken["pretrained cifar10-unet"]["remedy"] == "reinstall solverbench"
    assert broken["cupy"]["found"] == "OSError: libcuda.so: cannot open"


@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_cache_that_is_a_file_is_broken(below, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(tmp_path / "file" / below))
    (finding,) = doctor._caches()
    assert (finding.topic, finding.state) == ("cache", "broken")
    assert finding.found.startswith(f"{tmp_path / 'file'} is a file")
    assert "set SOLVERBENCH_CACHE to a folder" in finding.remedy
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(tmp_path / "to" / "be" / "made"))
    assert [f.state for f in doctor._caches()] == ["ok"]


def test_the_report_for_people(solverbench, findings, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    shown = solverbench("doctor")
    assert shown.code == 0
    assert "ok  python" in shown.out
    assert "engine numpy" in shown.out


def test_two_cupys_are_one_too_many(monkeypatch):
    class Distribution:
        def __init__(self, name):
            self.metadata, self.version = {"Name": name}, "14.0"

    both = [Distribution("cupy-cuda12x"), Distribution("cupy-cuda13x")]
    monkeypatch.setattr("importlib.metadata.distributions", lambda: both)
    (finding,) = doctor._cupy()
    assert finding.state == "broken"
    assert "uninstall all but one" in finding.remedy
