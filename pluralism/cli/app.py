"""The `pluralism` application: its commands, and the one place where errors are turned into messages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from pluralism import __version__
from pluralism.cli.adapt import adapt
from pluralism.cli.audit import audit
from pluralism.cli.bots import bots
from pluralism.cli.check import check
from pluralism.cli.choose import choose
from pluralism.cli.compare import compare
from pluralism.cli.condition import condition
from pluralism.cli.demo import demo
from pluralism.cli.directions import directions
from pluralism.cli.embed import embed
from pluralism.cli.evaluate import evaluate
from pluralism.cli.failures import INTERRUPTED, readable_warnings, report_failure, stopped
from pluralism.cli.fit import fit
from pluralism.cli.graph import graph_commands
from pluralism.cli.interview import interview
from pluralism.cli.report import report
from pluralism.cli.serve import serve
from pluralism.cli.values_over_time import progress_commands

__all__ = ["application", "run"]

COMMANDS = (
    demo,
    check,
    embed,
    fit,
    evaluate,
    adapt,
    compare,
    directions,
    choose,
    condition,
    report,
    audit,
    interview,
    serve,
    bots,
)
GROUPS = {"graph": graph_commands, "progress": progress_commands}
RESUMABLE = ("fit", "embed", "compare", "audit", "condition")


def application() -> typer.Typer:
    """Build the application with all commands."""
    app = typer.Typer(
        name="pluralism",
        epilog="Start with: pluralism demo",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help="People disagree: who wants what? Fit preference models that keep the disagreement.")(_options)
    for command in COMMANDS:
        app.command()(command)
    for make in GROUPS.values():
        app.add_typer(make())
    return app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; every error becomes one message.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``pluralism``; left out, the arguments of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = next((word for word in given if not word.startswith("-")), "")
    known = {command.__name__ for command in COMMANDS} | GROUPS.keys()
    called = f"pluralism {name}" if name in known else "pluralism"
    with readable_warnings():
        try:
            result = application()(given, prog_name="pluralism", standalone_mode=False)
        except (KeyboardInterrupt, typer.Abort):
            return stopped(name in RESUMABLE)
        except Exception as error:
            return report_failure(error, called)
    if result == INTERRUPTED:
        return stopped(name in RESUMABLE)
    return result if isinstance(result, int) else 0


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pluralism {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options of the application itself."""
