"""The page about discretion: where principles leave it, who uses it how, and on which comparisons most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pluralism import __version__
from pluralism.calibration.text import json_ready
from pluralism.errors import UsageError
from pluralism.reports.palette import diverging_class
from pluralism.reports.priority_display import PriorityDisplay
from pluralism.reports.report import Report
from pluralism.reports.text import counted, interval, percent
from pluralism.reports.tournament_display import TournamentDisplay

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.discretion import BetweenGroups, DiscretionAudit, GraphDiscrepancy, PrincipleSet, Reasons
    from pluralism.reports.display import Display

__all__ = ["DiscretionReport", "build_discretion_report"]

MOST_TOURNAMENTS = 6


class DiscretionReport(Report):
    """Where principles leave discretion, and how annotators use it; made by `build_discretion_report`."""

    template: ClassVar[str] = "discretion.html.j2"


def build_discretion_report(
    audit: DiscretionAudit,
    comparisons: Comparisons,
    *,
    principles: PrincipleSet | None = None,
    between: Sequence[BetweenGroups] = (),
    reasons: Reasons | None = None,
    elicited: GraphDiscrepancy | None = None,
    title: str = "Who decides when principles conflict",
    examples: int = 10,
    command: str | None = None,
) -> DiscretionReport:
    """Gather what an audit found, for a page.

    Parameters
    ----------
    audit : DiscretionAudit
    comparisons : Comparisons
        Those that were audited; their texts are shown.
    principles : PrincipleSet, optional
        Whose titles and questions are shown; left out, the ids.
    between : sequence of BetweenGroups
        Comparisons of groups to be shown.
    reasons : Reasons, optional
        Of the same annotators.
    elicited : GraphDiscrepancy, optional
        How their priorities differ from the order of a moral graph.
    title : str
    examples : int
        Comparisons with most discretion to be listed.
    command : str, optional
        The command line that makes this report, to be shown in it.

    Raises
    ------
    UsageError
        If the comparisons, principles or annotators with reasons are not those of the audit.
    """
    if len(comparisons) != len(audit.preferences):
        raise UsageError("The comparisons are not those of the audit.", fix="Pass what was audited.")
    if principles is not None and principles.ids != audit.principles:
        raise UsageError("The principles are not those of the audit.", fix="Pass the set that was audited.")
    if reasons is not None and reasons.influence.annotators != audit.names:
        raise UsageError(
            "The reasons are not of the audit's annotators.", fix="Explain the verdicts that were audited."
        )
    titles = list(audit.principles if principles is None else principles.titles)
    swap = audit.preferences.swap
    content = {
        "summary": _summary(audit, titles, between),
        "principles": [
            {"id": name, "title": titles[k], "text": "" if principles is None else principles.principles[k].text}
            for k, name in enumerate(audit.principles)
        ],
        "categories": audit.categories.to_dict(),
        "annotators": _annotators(audit),
        "by_principle": _by_principle(audit, titles),
        "by_size": _by_size(audit),
        "priority": _priority(audit, titles),
        "supremacy": [_supremacy(audit, k, titles) for k in range(len(audit.annotators))],
        "discrepancy": audit.discrepancy.to_dict(),
        "between": [found.to_dict() for found in between],
        "elicited": None if elicited is None else elicited.to_dict(),
        "why": None if reasons is None else _why(reasons),
        "swap": None if swap is None else swap.to_dict(),
        "most": _most(audit, comparisons, titles, examples),
        "settings": {
            "comparisons": len(audit.preferences),
            "oracle": audit.preferences.method,
            "threshold": audit.threshold,
            "graded": audit.graded,
            "by": audit.by,
            "draws": audit.n_bootstrap,
            "level": audit.level,
            "ridge": audit.priority[0].ridge,
            "command": command,
            "versions": {"pluralism": __version__},
        },
    }
    displays: dict[str, Display] = {"priority": PriorityDisplay.from_audit(audit, titles=titles)}
    for k, supremacy in enumerate(audit.supremacy[:MOST_TOURNAMENTS]):
        displays[f"tournament_{k}"] = TournamentDisplay.from_supremacy(supremacy, titles=titles)
    return DiscretionReport(title, json_ready(content), displays)


def _why(found: Reasons) -> dict[str, Any]:
    rows = found.to_frame().to_pylist()
    for row in rows:
        row["shade"] = 0 if row["influence"] is None else diverging_class(row["influence"], 1.0)
    factors, several = found.influence.factors, len(found.influence.annotators) > 1
    common = {row["property"]: row for row in found.weights.to_frame().to_pylist()}
    levels = found.weights.by_level
    return {
        "several": several,
        "factors": [
            {"factor": name, "common": common.get(name), "values": rows[k :: len(factors)]}
            for k, name in enumerate(factors)
        ],
        "scenarios": len(levels["scenario"][0]) if "scenario" in levels else 0,
        "level_sd": dict(found.weights.level_sd),
        "ties": found.influence.ties,
        "agreement": [
            {"annotators": list(agreed.annotators), "rows": agreed.to_frame().to_pylist()} for agreed in found.agreement
        ],
    }


def _annotators(audit: DiscretionAudit) -> list[dict[str, Any]]:
    rows = audit.to_frame().to_pylist()
    for row, annotator in zip(rows, audit.annotators, strict=True):
        row |= {"share": annotator.share, "conflict": annotator.conflict}
    return rows


def _by_principle(audit: DiscretionAudit, titles: list[str]) -> list[dict[str, Any]]:
    found = audit.arbitrariness
    return [
        {
            "title": title,
            "values": [
                {"value": value, "shade": 0 if np.isnan(value) else -diverging_class(value, 1.0), "span": list(span)}
                for value, span in zip(found.by_principle[:, k], found.by_principle_interval[:, k], strict=True)
            ],
        }
        for k, title in enumerate(titles)
    ]


def _by_size(audit: DiscretionAudit) -> list[dict[str, Any]]:
    found = audit.arbitrariness
    return [
        {
            "size": k + 1,
            "values": [
                {"value": value, "verdicts": mass, "span": list(span)}
                for value, mass, span in zip(
                    found.by_size[:, k], found.size_mass[:, k], found.by_size_interval[:, k], strict=True
                )
            ],
        }
        for k in range(found.by_size.shape[1])
        if found.size_mass[:, k].any()
    ]


def _priority(audit: DiscretionAudit, titles: list[str]) -> list[dict[str, Any]]:
    frames = [priority.to_frame().to_pylist() for priority in audit.priority]
    order = np.argsort(-np.nan_to_num(audit.priority[0].weight, nan=-np.inf), kind="stable")
    return [{"title": titles[k], "values": [frame[k] for frame in frames]} for k in order]


def _supremacy(audit: DiscretionAudit, annotator: int, titles: list[str]) -> dict[str, Any]:
    found = audit.supremacy[annotator]
    weight = audit.priority[annotator].weight
    order = [int(k) for k in np.argsort(-np.nan_to_num(weight, nan=-np.inf), kind="stable") if found.contested[k]]
    names = dict(zip(audit.principles, titles, strict=True))
    probability, games = found.probability, found.games
    shape = found.tournament
    return {
        "annotator": found.annotator,
        "titles": [titles[k] for k in order],
        "rows": [
            [
                None
                if np.isnan(probability[i, j])
                else {
                    "value": probability[i, j],
                    "games": games[i, j],
                    "shade": diverging_class(probability[i, j] - 0.5, 0.5),
                }
                for j in order
            ]
            for i in order
        ],
        "circles": [[names[name] for name in circle] for circle in shape.circles[:5]],
        "n_circles": len(shape.circles),
        "components": [[names[name] for name in part] for part in shape.components],
        "uncontested": [names[name] for name in shape.uncontested],
        "separated": audit.priority[annotator].separated,
        "drawn": annotator < MOST_TOURNAMENTS,
    }


def _most(audit: DiscretionAudit, comparisons: Comparisons, titles: list[str], n: int) -> list[dict[str, Any]]:
    items = comparisons.items
    signs = audit.preferences.signs(audit.threshold)
    rows = []
    for row in audit.most_discretion(max(n, 0)):
        left, right = int(comparisons.left[row]), int(comparisons.right[row])
        sides = []
        for item, sign in ((left, 1), (right, -1)):
            chosen = [
                annotator.name
                for annotator in audit.annotators
                if annotator.decided[row] and (annotator.left[row] > 0.5) == (sign > 0)
            ]
            sides.append(
                {
                    "id": items.ids[item].as_py(),
                    "text": None if items.texts is None else items.texts[item].as_py(),
                    "principles": [title for title, own in zip(titles, signs[row], strict=True) if own == sign],
                    "annotators": chosen,
                }
            )
        prompt = None if items.prompts is None else items.prompts[left].as_py()
        rows.append({"row": int(row) + 1, "consensus": int(audit.category[row]) == 0, "prompt": prompt, "sides": sides})
    return rows


def _summary(audit: DiscretionAudit, titles: list[str], between: Sequence[BetweenGroups]) -> dict[str, Any]:
    consensus, conflict, indifference = audit.categories.shares
    value, spans = audit.arbitrariness.value, audit.arbitrariness.interval
    left = percent(conflict + indifference)
    headline = f"Principles leave {left} of {counted(len(audit.preferences), 'comparison')} to discretion"
    sentences = [
        f"In {percent(consensus)} all principles that decide agree, in {percent(conflict)} they conflict, and in "
        f"{percent(indifference)} none decides."
    ]
    known = np.flatnonzero(~np.isnan(value))
    if len(known):
        said = []
        for k in known:
            low, high = (float(bound) for bound in spans[k])
            span = interval(low, high, 0, of_percent=True)
            said.append(f"{audit.names[k]} in {percent(value[k])}" + (f" ({span})" if span else ""))
        sentences.append(
            f"Where the principles agree, verdicts go against them: {', '.join(said)}; a coin would in {percent(0.5)}."
        )
    for priority in audit.priority[:3]:
        order = [titles[audit.principles.index(name)] for name in priority.order]
        if len(order) > 1 and priority.n_components == 1:
            sentences.append(f"In conflicts {priority.annotator} puts {order[0]} first and {order[-1]} last.")
    if audit.own_judges:
        sentences.append(
            f"{', '.join(audit.own_judges)} judged the principles as well: where it follows their consensus, it agrees "
            "with itself."
        )
    sentences += [found.answer for found in between]
    figures = [
        {"words": name, "value": percent(share)}
        for name, share in zip(("consensus", "conflict", "indifference"), audit.categories.shares, strict=True)
    ]
    if len(known):
        most = known[int(np.argmax(value[known]))]
        figures.append({"words": f"most arbitrary: {audit.names[most]}", "value": percent(value[most])})
    return {"headline": headline, "sentences": sentences, "figures": figures}
