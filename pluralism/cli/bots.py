"""`pluralism bots`: simulated people who play whole sessions of a study over HTTP, and what was lost of theirs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from pluralism.cli.options import JsonOption, SeedOption

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.elicitation.web.bots.study_of_bots import BotReport

__all__ = ["bots"]


def bots(
    link: Annotated[str, typer.Argument(metavar="URL", help="A link for participants: http://host/join/...")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many.")] = 200,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=2000, help="How many at the same time.")] = 200,
    pause: Annotated[
        float, typer.Option("--pause", min=0.0, help="Mean seconds that each thinks before a form is sent.")
    ] = 0.0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Let bots take part in a study, and check that nothing of theirs is lost: exit code 1 where something is."""
    from pluralism.cli.output import output
    from pluralism.cli.progress import stages
    from pluralism.elicitation.web.bots.study_of_bots import play_study

    with output(as_json) as result:
        with stages() as stage:
            stage("bots")
            report = play_study(
                link, n, at_once=at_once, pause=pause, progress=lambda k, of: stage(f"bots: {k} of {of}"), rng=seed
            )
        result.show(report.to_dict() | {"ok": report.ok}, lambda console: _render(console, report))
    if not report.ok:
        raise typer.Exit(1)


def _render(console: Console, report: BotReport) -> None:
    console.print(f"{report.finished:,} of {report.bots:,} bots came to the end in {report.seconds:.1f} s.")
    console.print(f"turns lost {report.lost_turns:,}, doubled {report.doubled_turns:,}")
    if not math.isnan(report.vote_p50_ms):
        console.print(
            f"a vote takes {report.vote_p50_ms:.0f} ms (median), {report.vote_p95_ms:.0f} ms (95 of 100); "
            f"any form {report.step_p95_ms:.0f} ms (95 of 100)"
        )
    console.print(f"{report.requests:,} requests, {report.repeated:,} of them repeated")
    for problem, count in report.problems.items():
        console.print(f"{count:,} stopped: {problem}")
