"""What `pluralism audit` found, gathered, and as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluralism.cli.audit_reasons import render_reasons
from pluralism.cli.output import clean_text
from pluralism.cli.tables import heading, number, percent, percent_span, print_table, span, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.discretion import BetweenGroups, DiscretionAudit, GraphDiscrepancy, PrincipleSet, Reasons

__all__ = ["Findings", "render_audit"]


@dataclass(frozen=True)
class Findings:
    """An audit, and what was asked beside it.

    Attributes
    ----------
    audit : DiscretionAudit
    principles : PrincipleSet
    between : sequence of BetweenGroups
    reasons : Reasons, optional
    elicited : GraphDiscrepancy, optional
    """

    audit: DiscretionAudit
    principles: PrincipleSet
    between: Sequence[BetweenGroups]
    reasons: Reasons | None
    elicited: GraphDiscrepancy | None

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain types."""
        return self.audit.to_dict() | {
            "between": [groups.to_dict() for groups in self.between],
            "graph": None if self.elicited is None else self.elicited.to_dict(),
            "why": None if self.reasons is None else self.reasons.to_dict(),
        }


def render_audit(console: Console, findings: Findings, document: Mapping[str, Any]) -> None:
    """Print what an audit found, what the judge cost, and what was written."""
    found, principles = findings.audit, findings.principles
    n = document["comparisons"]
    heading(console, f"Discretion in {n:,} comparison{'s' * (n != 1)} by {len(principles)} principles")
    console.print(f"principles by {document['oracle']}\n", soft_wrap=True)
    shares = found.categories.to_frame().to_pylist()
    print_table(
        console,
        ["", *(row["category"] for row in shares)],
        [
            ["share", *(percent(row["share"], 1) for row in shares)],
            ["", *(percent_span((row["low"], row["high"]), 1) for row in shares)],
        ],
    )
    print_table(
        console,
        ["annotator", "against a consensus", "", "corrected", "coverage"],
        [
            [
                clean_text(row["annotator"]),
                percent(row["arbitrariness"], 1),
                percent_span((row["low"], row["high"]), 1),
                number(row["chance_corrected"], 2),
                percent(row["coverage"]),
            ]
            for row in found.arbitrariness.to_frame().to_pylist()
        ],
    )
    titles = dict(zip(principles.ids, principles.titles, strict=True))
    first = found.priority[0]
    rest = [name for name in principles.ids if name not in first.order]
    places = [principles.ids.index(name) for name in (*first.order, *rest)]
    print_table(
        console,
        ["priority", *(clean_text(name) for name in found.names)],
        [
            [clean_text(titles[principles.ids[k]]), *(number(p.weight[k], 2, sign=True) for p in found.priority)]
            for k in places
        ],
    )
    if len(found.names) > 1:
        print_table(
            console,
            ["annotators", ("", "left"), "discrepancy", ""],
            [
                [
                    clean_text(row["annotator"]),
                    clean_text(row["other"]),
                    number(row["discrepancy"], 2),
                    span((row["low"], row["high"]), 2),
                ]
                for row in found.discrepancy.to_frame().to_pylist()
            ],
        )
    for name in found.own_judges:
        wrapped(
            console,
            f"{clean_text(name)} judged the principles as well: following their consensus, it agrees with itself.",
        )
    for groups in findings.between:
        wrapped(console, clean_text(groups.answer))
    if findings.elicited is not None:
        print_table(
            console,
            ["annotator", "discrepancy to the graph", "", "pairs"],
            [
                [
                    clean_text(row["annotator"]),
                    number(row["discrepancy"], 2),
                    span((row["low"], row["high"]), 2),
                    row["pairs"],
                ]
                for row in findings.elicited.to_frame().to_pylist()
            ],
        )
    if findings.reasons is not None:
        render_reasons(console, findings.reasons)
    spent = document["judge"]
    if spent is not None:
        cost = "" if spent["cost"] is None else f", cost {spent['cost']:,.4g}"
        console.print(f"{spent['name']}: {spent['calls']:,} calls, {spent['tokens']:,} tokens{cost}", soft_wrap=True)
    if document["out"] is not None:
        console.print(f"written to {document['out']}: {', '.join(document['files'])}", soft_wrap=True)
