"""`pluralism graph`: moral graphs built from votes, reported, compared, exported, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from pluralism.cli.options import JsonOption, SeedOption, pairs_of
from pluralism.cli.output import clean_text, output
from pluralism.cli.tables import heading, number, print_table, wrapped
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.elicitation.aggregators.ranking import GraphRanking
    from pluralism.elicitation.ballots import Contradiction
    from pluralism.elicitation.counted_graph import CountedGraph
    from pluralism.elicitation.difference import GraphDifference
    from pluralism.elicitation.moral_graph import MoralGraph

__all__ = ["graph_commands"]

SHOWN = 15

GraphArgument = Annotated[
    Path,
    typer.Argument(
        metavar="GRAPH",
        help="A moral graph: .json (ours, or as published), .parquet, .graphml, .gexf, .dot, .html, a folder.",
    ),
]
RuleOption = Annotated[str, typer.Option("--rule", help="How values are ranked, such as bradley-terry or reference.")]
ContextOption = Annotated[str | None, typer.Option("--context", help="Of this context; left out, all pooled.")]
BootstrapOption = Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples of the participants.")]
LevelOption = Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="Of intervals and verdicts.")]
TitleOption = Annotated[str, typer.Option("--title", help="Title of the page or report.")]


def graph_commands() -> typer.Typer:
    """The group of commands."""
    group = typer.Typer(name="graph", no_args_is_help=True, help="Moral graphs: build, report, diff, export, verify.")
    for command in (build, report, diff, export, verify):
        group.command()(command)
    return group


def build(
    out: Annotated[Path, typer.Option("--out", "-o", help="The graph to write: .json or .parquet.")],
    cards: Annotated[
        Path | None, typer.Argument(metavar="[CARDS]", help="Values cards: .json (a list), .jsonl, .csv, .parquet.")
    ] = None,
    votes: Annotated[Path | None, typer.Argument(metavar="[VOTES]", help="Votes: .csv, .jsonl, .parquet.")] = None,
    interview: Annotated[
        list[Path] | None,
        typer.Option("--interview", metavar="RECORD", help="A record of pluralism interview; may be repeated."),
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Also count interviews that are not done.")] = False,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME=COLUMN", help="Read COLUMN of the votes as NAME; may be repeated."),
    ] = None,
    groups: Annotated[
        Path | None, typer.Option("--groups", help="A table with the columns participant and group.")
    ] = None,
    contradiction: Annotated[
        str,
        typer.Option(
            "--contradiction", help="What counts where merges bring answers together: latest, majority, abstain."
        ),
    ] = "latest",
    as_json: JsonOption = False,
) -> None:
    """Build a graph of CARDS and VOTES, or of interviews, check the cards, and seal the votes in a hash chain."""
    from pluralism.cli.graph_interviews import with_interviews
    from pluralism.cli.graph_reading import read_cards, read_groups
    from pluralism.elicitation.card_lint import lint_cards
    from pluralism.elicitation.exports.whole_graph import placed
    from pluralism.elicitation.hash_chain import audit, seal
    from pluralism.elicitation.moral_graph import MoralGraph
    from pluralism.elicitation.vote_log import VoteLog
    from pluralism.errors import DataError

    _refuse_suffix(out, (".json", ".parquet"), "--out")
    if votes is None and not interview:
        raise UsageError("There are no votes to build a graph of.", fix="Name CARDS and VOTES, or --interview RECORD.")
    with output(as_json) as result:
        listed = {} if cards is None else read_cards(cards)
        log = VoteLog.empty() if votes is None else VoteLog.read(votes, columns=pairs_of(column, "--column"))
        known = {} if groups is None else read_groups(groups)
        policy = _policy(contradiction)
        try:
            given = MoralGraph(listed, log, groups=known, contradiction=policy)
        except DataError as error:
            raise placed(error, str(votes or cards)) from error
        joined, records = with_interviews(given, interview or (), partial=partial)
        if votes is None and not records["counted"]:
            raise DataError(
                "None of the interviews counts: all are withdrawn or not done.",
                where=f"--interview {', '.join(map(str, interview or ()))}",
                fix="Go on with them, or pass --partial to count what there is.",
            )
        made = seal(joined)
        ballots = made.ballots()
        linted = lint_cards(list(made.values.values()))
        out.parent.mkdir(parents=True, exist_ok=True)
        made.write(out)
        document = {
            "out": str(out),
            "values": len(made.values),
            "votes": ballots.n_votes,
            "ballots": len(ballots),
            "superseded": ballots.n_superseded,
            "participants": len(made.participants),
            "contexts": [context for context in made.contexts if context],
            "head": audit(made).head,
            "interviews": records,
            "cards": linted.to_dict(),
        }
        result.show(document, lambda console: _render_built(console, document, str(made), repr(linted)))


def report(
    graph: GraphArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write a page (.html) or a report (.md).")
    ] = None,
    rule: RuleOption = "bradley-terry",
    context: ContextOption = None,
    bootstrap: BootstrapOption = 500,
    level: LevelOption = 0.95,
    title: TitleOption = "Moral graph",
    votes: Annotated[bool, typer.Option("--votes/--no-votes", help="Whether a page holds the votes.")] = True,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say which values of GRAPH are wiser, how sure that is, and what is missing."""
    from pluralism.cli.progress import stages
    from pluralism.elicitation.aggregators.aggregate import aggregate
    from pluralism.elicitation.exports.graph_files import read_any_graph
    from pluralism.elicitation.hash_chain import audit
    from pluralism.elicitation.moral_graph import MoralGraph
    from pluralism.elicitation.structure.feedback_arcs import feedback_arcs
    from pluralism.elicitation.structure.shape import graph_shape
    from pluralism.elicitation.structure.transitivity import transitivity
    from pluralism.elicitation.structure.votes_needed import votes_needed

    if out is not None:
        _refuse_suffix(out, (".html", ".htm", ".md"), "--out")
    with output(as_json) as result:
        with stages() as stage:
            stage("reading")
            made = read_any_graph(graph)
            checked = audit(made) if isinstance(made, MoralGraph) else None
            stage("ranking")
            draws = bootstrap if _has_people(made) else 0
            ranking = aggregate(made, rule, context=context, n_bootstrap=draws, level=level, rng=seed)
            stage("looking for circles")
            shape = graph_shape(made, context=context)
            arcs = feedback_arcs(made, context=context)
            step = transitivity(made, context=context, n_bootstrap=draws, level=level, rng=seed)
            needed = votes_needed(made, context=context, level=level)
            if out is not None:
                stage("writing")
                _write_report(out, made, rule, title, bootstrap, level, votes, seed)
        document = {
            "graph": str(graph),
            "out": None if out is None else str(out),
            "audit": None if checked is None else checked.to_dict(),
            "ranking": ranking.to_dict(),
            "shape": shape.to_dict(),
            "feedback_arcs": arcs.to_dict(),
            "transitivity": step.to_dict(),
            "votes_needed": needed.to_dict(),
        }
        said = [repr(shape), repr(arcs), step.answer, repr(needed)]
        if checked is not None and not checked.ok:
            said.insert(0, f"{checked!r} See pluralism graph verify.")
        result.show(document, lambda console: _render_report(console, ranking, said, out))


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A moral graph.")],
    after: Annotated[Path | None, typer.Argument(metavar="[AFTER]", help="Another; or use --groups or --at.")] = None,
    groups: Annotated[
        str | None, typer.Option("--groups", metavar="A,B", help="Compare two groups of participants of BEFORE.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Compare BEFORE until this time (UTC) with all of it."),
    ] = None,
    rule: RuleOption = "bradley-terry",
    context: ContextOption = None,
    bootstrap: BootstrapOption = 500,
    level: LevelOption = 0.95,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare two graphs, two groups, or two moments: values and edges added, removed, flipped, and ranks."""
    from pluralism.cli.progress import stages
    from pluralism.elicitation.difference import graph_difference

    with output(as_json) as result:
        with stages() as stage:
            stage("reading")
            first, second = _two_graphs(before, after, groups, at)
            stage("comparing")
            found = graph_difference(
                first, second, context=context, rule=rule, n_bootstrap=bootstrap, level=level, rng=seed
            )
        titles = _titles(first) | _titles(second)
        result.show(found.to_dict(), lambda console: _render_diff(console, found, titles))


def export(
    graph: GraphArgument,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help=".json, .parquet, .graphml, .gexf, .dot, .html, .md, or a folder (ending in /) for CSV tables.",
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="published (the original's JSON), comparisons (for pluralism fit), or principles (.json, .jsonl).",
        ),
    ] = None,
    rule: RuleOption = "bradley-terry",
    context: ContextOption = None,
    bootstrap: BootstrapOption = 500,
    level: LevelOption = 0.95,
    title: TitleOption = "Moral graph",
    votes: Annotated[bool, typer.Option("--votes/--no-votes", help="Whether a page holds the votes.")] = True,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Write GRAPH in another format, by the suffix of --out or by --as."""
    from pluralism.cli.graph_writing import export_graph
    from pluralism.elicitation.exports.graph_files import read_any_graph

    if out.resolve() == graph.resolve():
        raise UsageError("GRAPH would be overwritten.", where=f"--out {out}", fix="Name another file.")
    with output(as_json) as result:
        made = read_any_graph(graph)
        out.parent.mkdir(parents=True, exist_ok=True)
        settings = {"rule": rule, "n_bootstrap": bootstrap, "level": level, "title": title, "votes": votes, "rng": seed}
        wrote = export_graph(made, out, kind, context, settings)
        document = {"graph": str(graph), "out": str(out), "format": wrote}
        result.show(document, lambda console: console.print(f"{wrote} written to {out}", soft_wrap=True))


def verify(
    graph: GraphArgument,
    head: Annotated[
        str | None, typer.Option("--head", metavar="HEX", help="A head of the log that was noted earlier.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every vote of GRAPH against the hash chain; a broken one gives exit code 2."""
    from pluralism.elicitation.hash_chain import audit
    from pluralism.elicitation.moral_graph import MoralGraph
    from pluralism.errors import DataError

    with output(as_json) as result:
        found = audit(MoralGraph.read(graph), head=head)
        result.show(found.to_dict(), lambda console: wrapped(console, clean_text(repr(found))))
        if not found.ok:
            rows = ", ".join(map(str, found.changed[:5]))
            raise DataError(
                found.faults[0]
                if found.faults
                else f"{len(found.changed):,} votes were changed after they were sealed.",
                where=f"{graph}{f', votes {rows}' if rows else ''}",
                fix="Get a good copy of the graph; this one is not the log that was kept.",
            )


def _policy(text: str) -> Contradiction:
    from pluralism.elicitation.ballots import Contradiction

    for allowed in get_args(Contradiction):
        if text == allowed:
            policy: Contradiction = allowed
            return policy
    raise UsageError(f"{text!r} is not possible.", where="--contradiction", fix="Use latest, majority or abstain.")


def _refuse_suffix(path: Path, allowed: tuple[str, ...], option: str) -> None:
    if path.suffix.lower() not in allowed or path.is_dir():
        raise UsageError(
            f"{path.name!r} cannot be written.", where=f"{option} {path}", fix=f"End it in {' or '.join(allowed)}."
        )


def _has_people(graph: MoralGraph | CountedGraph) -> bool:
    return hasattr(graph, "participants") and len(graph.participants) > 1


def _titles(graph: MoralGraph | CountedGraph) -> dict[str, str]:
    return {name: card.title for name, card in graph.cards.items()}


def _two_graphs(
    before: Path, after: Path | None, groups: str | None, at: str | None
) -> tuple[MoralGraph | CountedGraph, MoralGraph | CountedGraph]:
    from pluralism.elicitation.exports.graph_files import read_any_graph, read_graph

    if sum(option is not None for option in (after, groups, at)) != 1:
        raise UsageError(
            "Say what BEFORE is compared with.", fix="Name AFTER, or give --groups A,B, or --at TIME, and one of them."
        )
    if after is not None:
        return read_any_graph(before), read_any_graph(after)
    graph = read_graph(before)
    if groups is not None:
        names = [name.strip() for name in groups.split(",")]
        if len(names) != 2:
            raise UsageError(f"{groups!r} does not name two groups.", where="--groups", fix="Write --groups A,B.")
        return graph.of_group(names[0]), graph.of_group(names[1])
    try:
        return graph.until(str(at)), graph
    except ValueError:
        raise UsageError(f"{at!r} is no time.", where="--at", fix="Write it as 2024-05-31T12:00:00.") from None


def _write_report(
    out: Path,
    graph: MoralGraph | CountedGraph,
    rule: str,
    title: str,
    n_bootstrap: int,
    level: float,
    votes: bool,
    seed: int,
) -> None:
    from pluralism.cli.graph_writing import export_graph

    settings = {
        "rule": rule,
        "n_bootstrap": n_bootstrap,
        "level": level,
        "title": title,
        "votes": votes,
        "rng": seed,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    export_graph(graph, out, None, None, settings)


def _render_built(console: Console, found: dict[str, Any], graph: str, linted: str) -> None:
    heading(console, graph)
    wrapped(console, f"{found['superseded']:,} votes were replaced by a later one of the same person.")
    counts = {name: len(records) for name, records in found["interviews"].items()}
    if any(counts.values()):
        said = "{counted:,} interviews counted, {not_done:,} not done and {withdrawn:,} withdrawn were left out."
        wrapped(console, said.format(**counts))
    for line in linted.splitlines()[:SHOWN]:
        wrapped(console, clean_text(line), mark="  " if line.startswith(("-", " ")) else "")
    wrapped(console, f"head of the log: {found['head']}")
    console.print(f"written to {found['out']}", soft_wrap=True)


def _render_report(console: Console, ranking: GraphRanking, said: list[str], out: Path | None) -> None:
    heading(console, clean_text(ranking.answer))
    console.print()
    sure, parts = ranking.uncertainty is not None, ranking.n_components > 1
    rows = []
    for row in ranking.to_frame().to_pylist():
        if row["rank"] is None:
            continue
        cells = [str(row["rank"]), clean_text(row["title"], 44), number(row["score"])]
        if sure:
            cells += [f"{row['rank_low']:g}–{row['rank_high']:g}", number(row["p_top"], 2), str(row["tier"])]
        rows.append([*cells, f"{row['votes']:,}", *([str(row["component"] + 1)] if parts else [])])
    columns: list[Any] = ["rank", ("value", "left"), "score", *(["ranks", "P(top)", "tier"] if sure else []), "answers"]
    print_table(console, [*columns, *(["part"] if parts else [])], rows[:SHOWN])
    if len(rows) > SHOWN:
        console.print(f"and {len(rows) - SHOWN:,} more\n")
    for line in (*ranking.notes, *said):
        wrapped(console, clean_text(line), mark="· ")
    if out is not None:
        console.print(f"\nwritten to {out}", soft_wrap=True)


def _render_diff(console: Console, found: GraphDifference, titles: dict[str, str]) -> None:
    heading(console, clean_text(repr(found)))
    console.print()
    rows = [
        [
            edge.kind or "–",
            clean_text(titles.get(edge.source, edge.source), 30),
            clean_text(titles.get(edge.wiser, edge.wiser), 30),
            number(edge.likelihood_before, 2),
            number(edge.likelihood_after, 2),
            f"{number(edge.low, 2, sign=True)} to {number(edge.high, 2, sign=True)}",
        ]
        for edge in found.edges
        if edge.kind in ("added", "removed", "flipped") or edge in found.significant
    ]
    columns: list[Any] = [("edge", "left"), ("value", "left"), ("wiser?", "left"), "before", "after", "change"]
    if rows:
        print_table(console, columns, rows[:SHOWN])
    if len(rows) > SHOWN:
        console.print(f"and {len(rows) - SHOWN:,} more")
