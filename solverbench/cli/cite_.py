"""`solverbench cite NAME...`: the BibTeX of what was used."""

from __future__ import annotations

from collections.abc import Iterator

import click

from solverbench.cli.common import Kind, called, json_option, print_rows

PACKAGE = "solverbench"
"""The key under which this package is cited."""


@click.command("cite")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--suite", help="This package and all that a suite uses: a shipped one, or a .toml file.")
@json_option
def command(names: tuple[str, ...], suite: str | None, as_json: bool) -> None:
    """Print the BibTeX of solvers and grids (names, also with options), files of your own, paths, fields and suites.

    Without a name, that of this package. An entry is printed once, in the order of the names. What has none is told on
    stderr. --json prints name, key and bibtex of each citation.
    """
    from solverbench import references

    things = [thing for name in names for thing in called(name)]
    if suite is not None:
        things.append(("suite", suite))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for name, cite in _citations(things) if things else [(PACKAGE, PACKAGE)]:
        parts = references.parts(cite)
        for entry, words in parts:
            if entry is None:
                click.echo(f"{name} has no BibTeX, its author cites: {words}", err=True)
            else:
                rows[name, entry.key] = {"name": name, "key": entry.key, "bibtex": entry.bibtex}
        if not parts:
            click.echo(f"{name} cites nothing", err=True)
    if as_json:
        print_rows(rows.values(), as_json)
    else:
        click.echo("\n\n".join(dict.fromkeys(row["bibtex"] for row in rows.values())), nl=bool(rows))


def _citations(things: list[tuple[Kind, str]]) -> Iterator[tuple[str, str]]:
    """(name, citation) of each thing, or of each that a suite is made of."""
    from solverbench import pretrained
    from solverbench.adaptive import ADAPTIVE
    from solverbench.grids.make import named_rule
    from solverbench.methods.registry import SOLVERS
    from solverbench.paths import path

    for kind, name in things:
        match kind:
            case "solver":
                yield name, SOLVERS[name].cite or ""
            case "adaptive":
                yield name, ADAPTIVE[name].cite or ""
            case "path":
                yield name, path(name).cite
            case "grid":
                yield name, named_rule(name.split("[")[0]).cite
            case "field":
                yield name, pretrained.card(name).get("cite", "") if name in pretrained.names() else ""
            case "suite":
                yield PACKAGE, PACKAGE
                yield from _citations(_used(name))


def _used(name: str) -> list[tuple[Kind, str]]:
    """The solvers of a suite, and what else its problems are made of, each once."""
    from solverbench.run import suite

    found = suite.load(name)
    things: list[tuple[Kind, str]] = [("solver", solver) for solver in found.solvers]
    for problem in found.problems:
        things += [("solver", solver) for solver in problem.solvers]
        things += [("path", problem.path or "edm"), ("field", problem.field)]
        things += [("grid", problem.grid)] if problem.grid != "explicit" else []
    return list(dict.fromkeys(things))
