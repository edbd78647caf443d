"""The command line: one small module per verb, imported when it is used. stdout carries data, stderr messages."""

from __future__ import annotations

import os
import sys
from errno import EDQUOT, EIO, ENOSPC
from importlib import import_module
from typing import Any

import click

from solverbench import __version__
from solverbench.errors import SolverbenchError, nearest

VERBS = {
    "run": "Run a suite and print its tables.",
    "report": "Render a run's tables, figures and sheets again.",
    "figure": "Draw one figure, of a run or of solvers.",
    "list": "List solvers, adaptive solvers, paths, grids, fields or suites.",
    "show": "Explain one solver, path, grid, field or suite.",
    "cite": "Print BibTeX of solvers, grids, paths and fields, or of this package.",
    "plan": "Print the linear program a solver is.",
    "law": "Print the exact error of a solver on a Gaussian field.",
    "order": "Measure the order of convergence of solvers.",
    "new-solver": "Write a solver of your own to start from, and its test.",
    "check-solver": "Ask a solver all of the contract, and say what fails.",
    "compare": "Say where a solver wins, ties and loses, or what changed between two runs.",
    "audit": "Judge another library's samplers, or a file of your own.",
    "parity": "Compare our solvers with other libraries' number by number.",
    "baseline": "Keep a suite's numbers, or show those that are kept, for `check`.",
    "check": "Compare a suite's numbers with the baseline: the gate for CI.",
    "distance": "Print the distance of one set of pictures to another, with its error.",
    "fetch": "Download public checkpoints, statistics and data, verified; or list them.",
    "doctor": "Say what is installed, what will run where, and why the rest will not.",
}


class Verbs(click.Group):
    """A group whose commands live in modules of this package, found by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = import_module(f"solverbench.cli.{cmd_name.replace('-', '_')}_")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):  # without importing any of them
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}{nearest(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of our output has seen enough; click would say 1
            for stream in (sys.stdout, sys.stderr):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            ctx.exit(141)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="solverbench")
def cli() -> None:
    """Judge diffusion and flow-matching samplers against fields whose solution is known exactly.

    Exit codes: 0 ok; 1 worse than claimed, than the baseline, against the contract or unlike its peer; 2 usage; 3 cells
    failed or are missing, or the disk is full; 4 nothing to compare with; 5 nothing selected; 130 interrupted; 141 the
    reader of stdout has left.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; errors are one line on stderr."""
    try:
        code: Any = cli.main(arguments, prog_name="solverbench", standalone_mode=False)
    except click.exceptions.Abort:
        code = _fail("interrupted", 130)
    except KeyboardInterrupt:
        code = _fail("interrupted", 130)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SolverbenchError as error:
        code = _fail(f"error: {error}", error.exit_code)
    except OSError as error:  # what cannot be read or written, and a full disk, which is no fault of the command
        what = f"{error.filename}: " if error.filename else ""
        code = _fail(f"error: {what}{error.strerror or error}", 3 if error.errno in (ENOSPC, EDQUOT, EIO) else 2)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    click.echo(message, err=True)
    return code
