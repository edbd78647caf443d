"""`solverbench doctor`: what is installed, what will run where, and why the rest will not."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from solverbench.cli.common import json_option


@click.command("doctor")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Look at Python, threads, torch, the GPU, cupy, NVRTC, shipped parameters and caches.

    Exits with 1 if something that is there cannot be used; that something optional is absent is no fault.
    """
    from solverbench.doctor import examine, healthy

    findings = examine()
    if as_json:
        click.echo(json.dumps({"healthy": healthy(findings), "findings": [asdict(f) for f in findings]}, indent=1))
    else:
        width = max(len(f.topic) for f in findings)
        for f in findings:
            mark = {"ok": "ok", "absent": "--", "broken": "!!"}[f.state]
            click.echo(f"{mark}  {f.topic:{width}}  {f.found}")
            if f.remedy:
                click.echo(f"    {'':{width}}  -> {f.remedy}")
    ctx.exit(0 if healthy(findings) else 1)
