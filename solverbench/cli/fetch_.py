"""`solverbench fetch NAME`: public checkpoints, statistics and data, downloaded once and verified."""

from __future__ import annotations

from typing import Any

import click

from solverbench.cli.common import json_option, print_rows
from solverbench.errors import ArtifactError, UsageError

_COLUMNS = ("artifact", "state", "bytes", "checksum", "licence")


@click.command("fetch")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--list", "listing", is_flag=True, help="List what can be fetched; the same as giving no name.")
@json_option
@click.option(
    "--trust-on-first-use", "trust", is_flag=True, help="Accept a file without a known checksum, and record its sha256."
)
@click.option("--verify", is_flag=True, help="Check what is in the cache, and download nothing.")
def command(names: tuple[str, ...], listing: bool, as_json: bool, trust: bool, verify: bool) -> None:
    """Download artifacts by name and print where they are; without a name, list them.

    They are kept in the user's cache folder, or in SOLVERBENCH_CACHE. A file is used only after its size and checksum
    agree. Mind the licences: EDM's weights are for non-commercial use only.
    """
    from solverbench import artifacts

    if names and listing:
        raise UsageError("give names or --list, not both")
    if trust and (verify or not names):
        raise UsageError("--trust-on-first-use goes with the names of artifacts to download")
    if not names:
        rows = [_row(artifact, artifacts.state(artifact, verify=verify)) for artifact in artifacts.catalogue()]
        print_rows(rows, as_json, _COLUMNS)
        if wrong := [row["artifact"] for row in rows if row["state"] in ("altered", "not vouched for")]:
            raise ArtifactError(f"not verified: {', '.join(wrong)}; `solverbench fetch --verify NAME` says why")
        return
    known = {name: artifacts.find(name) for name in names}  # a misspelt name is found before anything is downloaded
    for name in known:
        path = _verified(name) if verify else artifacts.fetch(name, trust=trust, say=_say)
        if not as_json:
            click.echo(path)
    if as_json:
        print_rows([_row(artifact, "verified") for artifact in known.values()], as_json)


def _verified(name: str) -> Any:
    from solverbench import artifacts

    path = artifacts.cached(name)
    if path is None:
        where = artifacts.folder()
        raise ArtifactError(f"{name} is not in the cache ({where}): `solverbench fetch {name}` downloads it")
    return path


def _row(artifact: Any, state: str) -> dict[str, Any]:
    from solverbench import artifacts

    return {
        "artifact": artifact.name,
        "state": state,
        "bytes": artifact.size,
        "checksum": artifact.checksum,
        "licence": artifact.licence,
        "terms": artifact.terms,
        "about": artifact.about,
        "source": artifact.source,
        "path": str(artifacts.location(artifact)),
        "files": [_file(artifact, file, state) for file in artifact.files],
    }


def _file(artifact: Any, file: Any, state: str) -> dict[str, Any]:
    """What is known of a file; of one that was trusted on first use and verified, what was recorded then."""
    from solverbench.artifacts import store

    known = {"file": file.file, "url": file.url, "bytes": file.size, "sha256": file.sha256, "md5": file.md5}
    if state == "verified" and not file.checksum:
        known |= store.record(store.place(artifact, file)) or {}
    return known


def _say(message: str) -> None:
    click.echo(message, err=True)
