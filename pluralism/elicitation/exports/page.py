"""A moral graph as one page for a browser: a picture to explore, every edge down to its votes, and tables.

The page needs nothing else: its script and style are its own, allowed by their hashes, and it makes no request. Words
of participants are put in as text, never as markup. Without scripts the picture and the tables are there.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.aggregator import Aggregator
from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.layout import COLUMN, ROW, layered_layout
from pluralism.elicitation.exports.page_data import VERDICT_WORDS, page_data
from pluralism.elicitation.exports.page_words import PAGE_WORDS
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.uncertainty.edge_posterior import EdgePosteriors, edge_posteriors
from pluralism.printable import printable
from pluralism.random import RNG

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["graph_body", "graph_page"]

RADIUS = 16.0
_KINDS = {"wiser": "", "not wiser": "less", "insufficient evidence": "open"}
_SHORT = 24


def graph_page(
    graph: MoralGraph | CountedGraph,
    *,
    rule: str | Aggregator = "bradley-terry",
    title: str = "Moral graph",
    n_bootstrap: int = 500,
    level: float = 0.95,
    votes: bool = True,
    rng: RNG = 0,
) -> str:
    """Make the page.

    Parameters
    ----------
    rule : str or Aggregator
        That ranks the values.
    title : str
    n_bootstrap : int
        Resamples of the participants; counts alone have none.
    level : float
        Of intervals, and of the verdicts on pairs.
    votes : bool
        Whether the votes are in the page: answers, times and comments, by numbers instead of names of participants.
    rng : int, Generator or None

    Returns
    -------
    str
        HTML; the same bytes for the same graph and arguments.
    """
    from markupsafe import Markup

    style, script = _resource("moral_graph.css"), _resource("moral_graph.js")
    body = graph_body(graph, rule=rule, n_bootstrap=n_bootstrap, level=level, votes=votes, rng=rng)
    return (
        _environment()
        .get_template("moral_graph.html.j2")
        .render(
            title=" ".join(title.split()) or "Moral graph",
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            **body,
        )
    )


def graph_body(
    graph: MoralGraph | CountedGraph,
    *,
    rule: str | Aggregator = "bradley-terry",
    n_bootstrap: int = 500,
    level: float = 0.95,
    votes: bool = True,
    words: Mapping[str, str] = PAGE_WORDS,
    rng: RNG = 0,
) -> dict[str, Any]:
    """What the template ``moral_graph_body.html.j2`` shows, for a page that has its own head, style and script.

    Parameters
    ----------
    words : mapping of str to str
        In the language of the page, with the keys of `pluralism.elicitation.exports.page_words.PAGE_WORDS`.

    The others are those of `graph_page`.
    """
    from markupsafe import Markup

    draws = n_bootstrap if isinstance(graph, MoralGraph) and len(graph.participants) > 1 else 0
    ranking = aggregate(graph, rule, n_bootstrap=draws, level=level, rng=rng)
    posteriors = edge_posteriors(graph, level=level)
    picture = _Picture.of(graph, ranking, posteriors, words)
    data = page_data(graph, ranking, posteriors, votes=votes, words=words)
    return {
        "words": words,
        "data": Markup(_embedded(data)),
        "ranking": ranking,
        "answer": ranking.answer,
        "notes": ranking.notes,
        "overview": _overview(graph, posteriors, words),
        "contexts": list(enumerate(data["contexts"])),
        "level": f"{level:.0%}",
        "width": picture.width,
        "height": picture.height,
        "values": picture.values,
        "edges": picture.edges,
        "rows": _rows(graph, ranking, words),
        "made": words["made"].format(rule=ranking.rule, draws=f"{draws:,}"),
    }


@dataclass(frozen=True)
class _Picture:
    """What is drawn: values with places, edges with paths."""

    width: int
    height: int
    values: list[dict[str, Any]]
    edges: list[dict[str, Any]]

    @classmethod
    def of(
        cls,
        graph: MoralGraph | CountedGraph,
        ranking: GraphRanking,
        posteriors: EdgePosteriors,
        words: Mapping[str, str],
    ) -> _Picture:
        counted = posteriors.graph
        frame = ranking.to_frame()
        place = {name: i for i, name in enumerate(counted.ids)}
        order = np.array([place[name] for name in frame["id"].to_pylist()], dtype=np.int64)
        where = layered_layout(order, counted.source.astype(np.int64), counted.wiser.astype(np.int64))
        rank = ranking.ranks
        tiers = None if ranking.uncertainty is None else ranking.uncertainty.tiers
        values = []
        for i, title in enumerate(counted.titles):
            plain = " ".join(printable(title).split())
            values.append(
                {
                    "title": plain,
                    "short": plain if len(plain) <= _SHORT else plain[: _SHORT - 1].rstrip() + "…",
                    "x": f"{where[i, 0]:.0f}",
                    "y": f"{where[i, 1]:.0f}",
                    "radius": int(RADIUS),
                    "first": bool(rank[i] == 1 if tiers is None else tiers[i] == 1),
                }
            )
        verdicts = posteriors.verdicts
        largest = float(counted.counts.sum(axis=1).max(initial=1))
        edges = []
        for e in range(counted.n_edges):
            a, b = int(counted.source[e]), int(counted.wiser[e])
            yes, no, unsure = (int(n) for n in counted.counts[e])
            titles = [values[v]["title"] for v in (a, b)]
            edges.append(
                {
                    "path": _curve(where[a], where[b]),
                    "width": f"{1 + 4 * float(np.sqrt((yes + no + unsure) / largest)):.1f}",
                    "opacity": f"{0.35 + 0.65 * abs(2 * posteriors.p_wiser[e] - 1):.2f}",
                    "kind": _KINDS[verdicts[e]],
                    "number": e,
                    "layer": verdicts[e] != "insufficient evidence",
                    "said": words["said"].format(source=titles[0], wiser=titles[1], yes=yes, no=no, unsure=unsure),
                    "source_title": titles[0],
                    "wiser_title": titles[1],
                    "counts": (yes, no, unsure),
                    "p": float(posteriors.p_wiser[e]),
                    "verdict": words[VERDICT_WORDS[verdicts[e]]],
                }
            )
        size = where.max(axis=0, initial=0.0) + np.array([COLUMN, ROW]) / 2.0
        return cls(int(max(size[0], COLUMN)), int(max(size[1], ROW)), values, edges)


def _curve(start: np.ndarray, end: np.ndarray) -> str:
    """A bent line from circle to circle; the way back bends to the other side."""
    along = end - start
    length = float(np.hypot(*along)) or 1.0
    unit = along / length
    bend = (start + end) / 2.0 + np.array([-unit[1], unit[0]]) * min(40.0, length / 6.0)
    first, last = _towards(start, bend), _towards(end, bend)
    return f"M{first[0]:.0f} {first[1]:.0f}Q{bend[0]:.0f} {bend[1]:.0f} {last[0]:.0f} {last[1]:.0f}"


def _towards(centre: np.ndarray, target: np.ndarray) -> np.ndarray:
    way = target - centre
    return centre + way / (float(np.hypot(*way)) or 1.0) * (RADIUS + 3.0)


def _rows(graph: MoralGraph | CountedGraph, ranking: GraphRanking, words: Mapping[str, str]) -> list[dict[str, Any]]:
    cards = graph.values if isinstance(graph, MoralGraph) else graph.cards
    rows = []
    for row in ranking.to_frame().to_pylist():
        sure = row["rank"] is not None and ranking.uncertainty is not None
        rows.append(
            {
                "rank": row["rank"],
                "title": " ".join(row["title"].split()),
                "policies": list(cards[row["id"]].policies),
                "ranks": words["range"].format(low=f"{row['rank_low']:g}", high=f"{row['rank_high']:g}")
                if sure
                else "–",
                "p_top": f"{row['p_top']:.2f}" if sure else "–",
                "votes": row["votes"],
            }
        )
    return rows


def _overview(graph: MoralGraph | CountedGraph, posteriors: EdgePosteriors, words: Mapping[str, str]) -> str:
    pairs = f"{posteriors.graph.n_edges:,}"
    if isinstance(graph, CountedGraph):
        answers = f"{int(graph.counts.sum()):,}"
        return words["overview_counts"].format(values=f"{graph.n_values:,}", pairs=pairs, votes=answers)
    return words["overview"].format(
        values=f"{len(graph.values):,}",
        pairs=pairs,
        people=f"{len(graph.participants):,}",
        votes=f"{graph.ballots().n_votes:,}",
    )


def _embedded(data: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(style: str, script: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("pluralism.elicitation"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _resource(name: str) -> str:
    return files("pluralism.elicitation").joinpath("templates", name).read_text(encoding="utf-8").strip()
