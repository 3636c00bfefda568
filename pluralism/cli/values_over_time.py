"""`pluralism progress`: agents in environments of values over time, and a leaderboard of what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.options import JsonOption, settings_of
from pluralism.cli.output import clean_text, output
from pluralism.cli.tables import heading, number, print_table, span, wrapped
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.progress.comparison import AgentComparison

__all__ = ["progress_commands"]

DEFAULT_AGENTS = "uniform,frozen,persistence,pooled,lifelong,extrapolative,damped_trend"


def progress_commands() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(name="progress", no_args_is_help=True, help="Values over time: run agents, compare them.")
    for command in (run, leaderboard):
        group.command()(command)
    return group


def run(
    env: Annotated[str, typer.Option("--env", help="Follow-v0, Predict-v0 or Coevolve-v0.")] = "Follow-v0",
    agent: Annotated[
        str,
        typer.Option(
            "--agent",
            help="Agents with commas between, settings after a colon: kalman,damped_trend:level=0.5;damping=0.9.",
        ),
    ] = DEFAULT_AGENTS,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many histories, the same for all agents.")] = 20,
    process: Annotated[
        str,
        typer.Option(
            "--process", help="static, random_walk, damped_trend, s_curve, cycle, regime_shift, polarise, or a table."
        ),
    ] = "damped_trend",
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the environment, such as horizon=2, dims=8 or n_votes=20; may be repeated.",
        ),
    ] = None,
    level: Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="Of intervals over histories.")] = 0.95,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the result, as pluralism progress leaderboard reads.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let agents act in the same histories; 20 or more give intervals that mean something.

    With --out, a run that was killed goes on with the agents that were not done.
    """
    from pluralism.cli.progress import stages
    from pluralism.files import atomic_write
    from pluralism.progress.comparison import run_agents

    with output(as_json) as result:
        given = settings_of(setting, "--set")
        for taken in ("process", "seeds", "level", "env", "agents"):
            if taken in given:
                raise UsageError(
                    f"{taken} has an option of its own.", where="--set", fix=f"Leave {taken} out of --set."
                )
        agents = [name.strip() for name in agent.split(",") if name.strip()]
        unknown = [name for name in ("checkpoint", "progress", "n_bootstrap") if name in given]
        if unknown:
            raise UsageError(f"There is no setting {unknown[0]!r}.", where="--set", fix="Leave it out.")
        kept = None if out is None else out / ".unfinished" / _digest(env, process, given, seeds, agents)
        with stages() as stage:
            made = run_agents(
                env,
                agents,
                seeds=seeds,
                process=_process(process),
                level=level,
                checkpoint=kept,
                progress=lambda name: stage(f"running {name}"),
                **given,
            )
        if Path(process).suffix:
            made = replace(made, process=Path(process).name)
        path = None
        if out is not None and kept is not None:
            out.mkdir(parents=True, exist_ok=True)
            known = _digest(made.env, made.process, made.settings, made.n_seeds, [each.agent for each in made.results])
            path = out / f"{made.env}-{Path(made.process).stem}-{known}.json"
            atomic_write(path, (made.to_json(indent=1) + "\n").encode())
            for folder in (kept, kept.parent):
                with suppress(OSError):
                    folder.rmdir()
        document = {**made.to_dict(), "out": None if path is None else str(path)}
        result.show(document, lambda console: _render(console, [made], path))


def leaderboard(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with results of pluralism progress run.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write a page (.html), or a report with its pictures (.md).")
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Title of the page or report.")] = "Values over time",
    as_json: JsonOption = False,
) -> None:
    """Show all results of DIR, with intervals; with --out as a page or in Markdown."""
    from pluralism.files import atomic_write
    from pluralism.progress.leaderboard import (
        leaderboard_markdown,
        leaderboard_page,
        leaderboard_pictures,
        read_comparisons,
    )

    with output(as_json) as result:
        if out is not None and out.suffix.lower() not in (".html", ".htm", ".md"):
            raise UsageError(f"{out.suffix or out.name!r} cannot be written.", where="--out", fix="Use .html or .md.")
        read = read_comparisons(folder)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            if out.suffix.lower() == ".md":
                names = [f"{out.stem}-{k + 1}.svg" for k in range(len(read))]
                for name, picture in zip(names, leaderboard_pictures(read), strict=True):
                    atomic_write(out.parent / name, picture.encode())
                text = leaderboard_markdown(read, title=title, pictures=names)
            else:
                text = leaderboard_page(read, title=title)
            atomic_write(out, text.encode())
        document = {"comparisons": [each.to_dict() for each in read], "out": None if out is None else str(out)}
        result.show(document, lambda console: _render(console, read, out))


def _process(text: str) -> Any:
    """The name of a process, or the table in a file."""
    if Path(text).suffix:
        from pluralism.progress.trajectory_table import TrajectoryTable

        return TrajectoryTable.read(text).complete()
    return text


def _digest(env: str, process: str, settings: Mapping[str, Any], n_seeds: int, agents: Sequence[str]) -> str:
    """A few letters that differ between settings, so that results lie beside each other in one folder."""
    import hashlib

    said = repr((env, process, sorted(settings.items()), n_seeds, list(agents)))
    return hashlib.sha256(said.encode()).hexdigest()[:8]


def _render(console: Console, comparisons: list[AgentComparison], out: Path | None) -> None:
    for made in comparisons:
        heading(console, clean_text(f"{made.env}, {made.process}: {made.n_seeds} histories"))
        console.print()
        rows = [
            [
                clean_text(each.agent),
                number(each.measures["cost"].value, 4),
                span((each.measures["cost"].low, each.measures["cost"].high), 4),
                number(each.score.value),
                span((each.score.low, each.score.high)),
                number(each.over_persistence.value),
            ]
            for each in made.results
        ]
        print_table(console, ["agent", "cost", "interval", "score", "interval", "over persistence"], rows)
        oracle = f"{made.oracle} is scored 1" if made.oracle else "no oracle is known, so nothing is scored"
        wrapped(console, f"{oracle}; frozen is 0. Cost: mean loss per step and dimension.", mark="· ")
        knowing = [each for each in made.results if each.oracle and each.oracle != made.oracle]
        for each in knowing:
            said = f"{each.agent} knows or asks more than it is told, and is scored beside {each.oracle}"
            wrapped(console, clean_text(said), mark="· ")
        for reason in dict.fromkeys(each.score.reason for each in made.results if each.score.reason):
            wrapped(console, clean_text(reason), mark="· ")
        console.print()
    if out is not None:
        console.print(f"written to {out}", soft_wrap=True)
