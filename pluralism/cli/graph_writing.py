"""Moral graphs in the formats that `pluralism graph export` and `report` write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.elicitation.counted_graph import CountedGraph
    from pluralism.elicitation.moral_graph import MoralGraph

__all__ = ["KINDS", "export_graph"]

KINDS = ("published", "comparisons", "principles")
SUFFIXES = (".json", ".parquet", ".graphml", ".gexf", ".dot", ".gv", ".html", ".htm", ".md")


def export_graph(
    graph: MoralGraph | CountedGraph,
    out: Path,
    kind: str | None,
    context: str | None,
    settings: Mapping[str, Any],
) -> str:
    """Write a graph and say what was written.

    Parameters
    ----------
    kind : str, optional
        One of `KINDS`; left out, the format is that of the suffix.
    context : str, optional
        Of principles.
    settings : mapping
        `rule, n_bootstrap, level, title, votes, rng` of pages, reports and principles.

    Raises
    ------
    UsageError
        If the kind or the suffix is unknown, or the graph does not have what the format needs.
    """
    from pluralism.elicitation.exports.graph_files import write_graph
    from pluralism.elicitation.exports.markdown import markdown_report
    from pluralism.elicitation.exports.page import graph_page
    from pluralism.elicitation.exports.tables import write_csv_folder
    from pluralism.files import atomic_write

    if kind is not None and kind not in KINDS:
        raise UsageError(f"{kind!r} is no format.", where="--as", fix=f"Use one of {', '.join(KINDS)}.")
    suffix = out.suffix.lower()
    if kind == "published":
        return _published(graph, out)
    if kind == "comparisons":
        return _comparisons(graph, out)
    if kind == "principles":
        return _principles(graph, out, context, settings)
    if suffix in (".html", ".htm"):
        atomic_write(out, graph_page(graph, **settings))
        return "page"
    if suffix == ".md":
        chosen = {name: settings[name] for name in ("rule", "title", "n_bootstrap", "rng")}
        atomic_write(out, markdown_report(graph, **chosen))
        return "report"
    if not suffix:
        write_csv_folder(graph, out)
        return "folder of CSV files"
    _refuse(out, SUFFIXES)
    write_graph(graph, out)
    return suffix.removeprefix(".")


def _published(graph: MoralGraph | CountedGraph, out: Path) -> str:
    from pluralism.elicitation.exports.published_json import to_published
    from pluralism.files import atomic_write

    _refuse(out, (".json",))
    atomic_write(out, json.dumps(to_published(graph), ensure_ascii=False, indent=1) + "\n")
    return "published graph"


def _comparisons(graph: MoralGraph | CountedGraph, out: Path) -> str:
    from pluralism.elicitation.exports.comparisons import to_comparisons
    from pluralism.elicitation.moral_graph import MoralGraph

    if not isinstance(graph, MoralGraph):
        raise UsageError("Counts have no users.", where="--as comparisons", fix="Export a graph of votes.")
    to_comparisons(graph).write(out)
    return "comparisons"


def _principles(graph: MoralGraph | CountedGraph, out: Path, context: str | None, settings: Mapping[str, Any]) -> str:
    from pluralism.elicitation.aggregators.aggregate import aggregate
    from pluralism.elicitation.exports.principles import principles_of
    from pluralism.elicitation.moral_graph import MoralGraph
    from pluralism.files import atomic_write

    _refuse(out, (".json", ".jsonl"))
    people = isinstance(graph, MoralGraph) and len(graph.participants) > 1
    chosen = {name: settings[name] for name in ("rule", "level", "rng")}
    draws = settings["n_bootstrap"] if people else 0
    ranking = aggregate(graph, context=context, n_bootstrap=draws, **chosen)
    cards = graph.values if isinstance(graph, MoralGraph) else graph.cards
    found = principles_of(ranking, cards)
    if out.suffix.lower() == ".json":
        atomic_write(out, found.to_json(indent=1) + "\n")
    else:
        atomic_write(out, "".join(json.dumps(m, ensure_ascii=False) + "\n" for m in found.to_messages()))
    return f"{len(found)} principles"


def _refuse(out: Path, allowed: tuple[str, ...]) -> None:
    if out.suffix.lower() not in allowed:
        raise UsageError(
            f"{out.name!r} cannot be written.", where=f"--out {out}", fix=f"End it in one of {', '.join(allowed)}."
        )
