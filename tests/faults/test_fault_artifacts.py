"""Damaged parameters, met at the command line: one clear error, exit code 2."""

from __future__ import annotations

import json
import shutil

import pytest

from solverbench import pretrained
from solverbench.cli import main

FIELD = "cifar10-gaussian"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the shipped parameters that may be damaged."""
    copy = tmp_path / "pretrained"
    copy.mkdir()
    for suffix in ("json", "safetensors"):
        shutil.copy(pretrained._folder() / f"{FIELD}.{suffix}", copy)
    monkeypatch.setattr(pretrained, "_folder", lambda: copy)
    return copy


def truncate(folder):
    path = folder / f"{FIELD}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def empty(folder):
    (folder / f"{FIELD}.safetensors").write_bytes(b"")


def flip(folder):
    path = folder / f"{FIELD}.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(folder):
    (folder / f"{FIELD}.safetensors").unlink()


def remove_card(folder):
    (folder / f"{FIELD}.json").unlink()


def tear_card(folder):
    path = folder / f"{FIELD}.json"
    path.write_text(path.read_text()[:50])


def swap(folder):
    """A file that is whole, and another: its checksum is taken into the card, its content is no safetensors."""
    import hashlib

    path = folder / f"{FIELD}.json"
    (folder / f"{FIELD}.safetensors").write_bytes(b"not tensors")
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": hashlib.sha256(b"not tensors").hexdigest()}))


DAMAGES = [
    (truncate, "damaged or altered"),
    (empty, "damaged or altered"),
    (flip, "damaged or altered"),
    (remove, "cannot be read"),
    (remove_card, "is missing"),
    (tear_card, "not a readable card"),
    (swap, "not a safetensors file"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
@pytest.mark.parametrize("verb", [["law", "ddim", "--nfe", "5"], ["run", "--problem", FIELD, "--name", "r", "--out"]])
def test_one_clear_error(folder, tmp_path, capsys, damage, message, verb):
    damage(folder)
    out = [str(tmp_path / "reports")] if verb[0] == "run" else []
    with pytest.raises(SystemExit) as end:
        main([*verb, *out])
    shown = capsys.readouterr()
    assert end.value.code == 2
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert "reinstall solverbench" in shown.err
    assert FIELD in shown.err
    assert not (tmp_path / "reports").exists()


def test_the_copy_itself_is_whole(folder, capsys):
    with pytest.raises(SystemExit) as end:
        main(["law", "ddim", "--nfe", "5", "--json"])
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)[0]["nfe"] == 5
