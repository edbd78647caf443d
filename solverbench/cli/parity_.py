"""`solverbench parity [LIBRARY]`: our solvers beside other libraries', number by number."""

from __future__ import annotations

import click

from solverbench.cli.common import json_option, print_rows
from solverbench.errors import UsageError, check_known


@click.command("parity")
@click.argument("library", required=False)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print docs/parity.md.")
@click.option("--aliases", "as_aliases", is_flag=True, help="Print solverbench/peers/aliases.json.")
@json_option
def command(library: str | None, as_markdown: bool, as_aliases: bool, as_json: bool) -> int:
    """Run every solver of ours that another library has too beside it, on the same field, noise levels and draws.

    Without LIBRARY, all that are installed. The exit code is 1 if one differs.
    """
    from solverbench import peers
    from solverbench.peers import parity

    if as_markdown + as_aliases + as_json > 1:
        raise UsageError("give one of --markdown, --aliases and --json")
    if library is not None:
        check_known("library", library, peers.LIBRARIES)
    names, missing = ([library], {}) if library else parity.installed()
    for reason in missing.values():
        click.echo(f"left out: {reason}", err=True)
    found = [parity.compare(peer) for peer in parity.pairs(names)]
    if as_aliases:
        click.echo(parity.alias_file(found), nl=False)
    elif as_markdown:
        versions = {k: v for name in names for k, v in peers.library(name).versions.items()}
        click.echo(parity.markdown(found, [f"{k} {v}" for k, v in versions.items()]), nl=False)
    else:
        columns = None if as_json else ["solver", "library", "peer", "setting", "difference", "equal"]
        print_rows(parity.rows(found), as_json, columns)
    differing = [c for c in found if not c.equal]
    for c in differing:
        reason = c.error or f"{c.difference:.1e} > {c.tolerance:.0e}"
        click.echo(f"{c.solver} differs from {c.library} {c.peer}: {reason}", err=True)
    return 1 if differing else 0
