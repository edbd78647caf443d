"""`solverbench fetch`: paths on stdout, messages on stderr, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from solverbench.cli import main


@pytest.fixture
def run(capsys):
    """run(*arguments): `solverbench fetch` with them; the exit code, stdout and stderr."""

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["fetch", *arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=end.value.code, out=out, err=err)

    return call


@pytest.mark.parametrize("arguments", [(), ("--list",), ("--verify",)])
def test_the_catalogue_is_listed(run, arguments):
    table, rows = run(*arguments), json.loads(run(*arguments, "--json").out)
    assert (table.code, table.err) == (0, "")
    assert len(rows) >= 8
    assert all(row["artifact"] in table.out and row["state"] == "absent" for row in rows)
    assert "CC BY-NC-SA 4.0 (non-commercial)" in table.out
    (stats,) = (row for row in rows if row["artifact"] == "inception-fid")
    assert stats["bytes"] == stats["files"][0]["bytes"] == 95628359


def test_a_fetched_path_is_all_that_is_on_stdout(run, offer, data, sha, cache):
    offer("data.bin", sha256=sha(data))
    shown = run("thing")
    assert (shown.code, shown.out) == (0, f"{cache / 'thing' / 'data.bin'}\n")
    assert "thing: licence Apache-2.0 - be kind" in shown.err
    assert "downloading http" in shown.err
    (row,) = json.loads(run("thing", "--json").out)
    assert (row["state"], row["path"], row["files"][0]["sha256"]) == ("verified", shown.out.strip(), sha(data))
    assert "cached" in run().out
    assert "verified" in run("--verify").out
    assert run("--verify", "thing").out == shown.out


def test_trust_on_first_use(run, offer, data, sha, cache):
    offer("data.bin")
    refused = run("thing")
    assert (refused.code, refused.out) == (2, "")
    assert "give --trust-on-first-use" in refused.err
    trusted = run("thing", "--trust-on-first-use", "--json")
    assert trusted.code == 0
    assert sha(data) in trusted.err
    (file,) = json.loads(trusted.out)[0]["files"]
    assert (file["sha256"], file["bytes"], file["trusted_on_first_use"]) == (sha(data), len(data), True)
    assert run("thing").code == 0


def test_what_is_altered_is_found(run, offer, data, sha, cache):
    offer("data.bin", sha256=sha(data))
    run("thing")
    (cache / "thing" / "data.bin").write_bytes(b"other")
    listed = run("--verify")
    assert listed.code == 2
    assert "altered" in listed.out
    assert "not verified: thing" in listed.err
    for arguments in (("thing",), ("thing", "--verify")):
        shown = run(*arguments)
        assert (shown.code, shown.out) == (2, "")
        assert "damaged or altered: expected sha256" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["thign"], "no artifact is called 'thign' (did you mean thing?)"),
        (["thing", "thign"], "no artifact is called 'thign'"),
        (["thing", "--list"], "give names or --list, not both"),
        (["--trust-on-first-use"], "goes with the names of artifacts"),
        (["thing", "--verify", "--trust-on-first-use"], "goes with the names of artifacts"),
        (["thing", "--verify"], "thing is not in the cache"),
    ],
)
def test_what_cannot_be(run, offer, site, data, sha, arguments, message):
    offer("data.bin", sha256=sha(data))
    shown = run(*arguments)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err
    assert site.asked == []


def test_offline(run, offer, data, sha, site, cache):
    offer("data.bin", sha256=sha(data))
    site.status = 503
    shown = run("thing")
    assert (shown.code, shown.out) == (2, "")
    assert f"download {site.url}data.bin" in shown.err
    assert sha(data) in shown.err
    assert f"put it at {cache / 'thing' / 'data.bin'}" in shown.err


def test_listing_imports_nothing_heavy(cache):
    code = (
        "import sys\nfrom solverbench.cli import main\ntry: main(['fetch'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'pandas', 'scipy') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ended.stdout.splitlines()[-1] == "[]"
