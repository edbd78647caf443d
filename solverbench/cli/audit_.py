"""`solverbench audit LIBRARY`: another library's samplers, or a file of your own, judged as ours are."""

from __future__ import annotations

import json
import os

import click

from solverbench.cli.common import json_option, print_rows


@click.command("audit")
@click.argument("library")
@click.option("--allow", multiple=True, metavar="NAME", help="A sampler whose faults are known; repeatable.")
@click.option("--jobs", type=click.IntRange(1), default=min(4, os.cpu_count() or 1), show_default=True,
              help="Processes.")  # fmt: skip
@json_option
def command(library: str, allow: tuple[str, ...], jobs: int, as_json: bool) -> int:
    """Measure every sampler of LIBRARY, or of your FILE.py or FILE.py:function: its order against the one claimed, its
    exact law, what it spends, whether it repeats, and what its own noise levels lead to.

    The exit code is 1 if a sampler is worse than claimed and not allowed. docs/auditing.md explains the columns.
    """
    from solverbench.peers.audit import audit

    found = audit(library, jobs)
    worse = found.worse(allow)
    if as_json:
        click.echo(json.dumps(found.json(), indent=1))
    else:
        print_rows(found.rows(), as_json=False)
        if found.own:
            click.echo()
            print_rows(found.own_rows(), as_json=False)
    versions = ", ".join(f"{k} {v}" for k, v in found.versions.items())
    named = f"{found.library} ({versions})" if versions else found.library
    click.echo(f"{named}: {len(found.records)} samplers, {len(worse)} worse than claimed", err=True)
    return 1 if worse else 0
