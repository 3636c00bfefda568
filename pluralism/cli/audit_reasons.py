"""Reasons for verdicts, as `pluralism audit --why` asks for them and prints them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pluralism.cli.output import clean_text
from pluralism.cli.tables import number, print_table, span
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.data import Comparisons
    from pluralism.discretion import DiscretionAudit, Reasons

__all__ = ["Why", "render_reasons"]

TIES = ("factor", "none", "b")
SCENARIOS = ("group", "source", "prompt")


@dataclass(frozen=True)
class Why:
    """What is asked of the reasons for verdicts.

    Attributes
    ----------
    factors : list of str, optional
    ties : str
    scenario : str, optional
        One of group, source, prompt.
    """

    factors: list[str] | None
    ties: str
    scenario: str | None

    @classmethod
    def of(cls, why: bool, factors: list[str] | None, ties: str | None, scenario: str | None) -> Why | None:
        """What the options ask for; None where reasons are not asked for.

        Raises
        ------
        UsageError
            If options speak of reasons that are not asked for, or one is unknown.
        """
        given = {"--factor": factors, "--ties": ties, "--scenario": scenario}
        spoken = [name for name, value in given.items() if value is not None]
        if spoken and not why:
            raise UsageError("Reasons are not asked for.", where=spoken[0], fix="Add --why.")
        if scenario is not None and scenario not in SCENARIOS:
            raise UsageError(
                f"{scenario!r} is no scenario.", where="--scenario", fix=f"Name one of {', '.join(SCENARIOS)}."
            )
        if ties is not None and ties not in TIES:
            raise UsageError(f"{ties!r} is no way to count ties.", where="--ties", fix=f"Use {', '.join(TIES)}.")
        return cls(factors, ties or TIES[0], scenario) if why else None

    def check(self, comparisons: Comparisons) -> None:
        """Refuse what the data do not have, or have too much of, before anybody is asked anything."""
        from pluralism.discretion.factors.differences import checked_factors
        from pluralism.discretion.factors.property_weights import MAX_COEFFICIENTS

        factors = checked_factors(comparisons, self.factors)
        if self.scenario is None:
            return
        scenarios = set(_labels(comparisons, self.scenario))
        if len(scenarios) * len(factors) > MAX_COEFFICIENTS:
            raise UsageError(
                f"{len(scenarios):,} scenarios are too many for {len(factors)} factors.",
                where=f"--scenario {self.scenario}",
                fix=f"Use at most {MAX_COEFFICIENTS // len(factors):,}, or fewer factors.",
            )

    def explain(self, comparisons: Comparisons, audit: DiscretionAudit, seed: int) -> Reasons:
        """Reasons of the annotators of an audit."""
        from pluralism.discretion import explain_verdicts

        return explain_verdicts(
            comparisons,
            audit.annotators,
            factors=self.factors,
            scenario=None if self.scenario is None else _labels(comparisons, self.scenario),
            ties=cast(Any, self.ties),
            by=audit.by,
            n_bootstrap=audit.n_bootstrap,
            level=audit.level,
            rng=seed,
        )


def _labels(comparisons: Comparisons, scenario: str) -> list[str]:
    """Labels of the rows."""
    codes, names = {
        "group": (comparisons.group, comparisons.groups),
        "source": (comparisons.source, comparisons.sources),
        "prompt": (comparisons.left, comparisons.items.prompts),
    }[scenario]
    if codes is None or names is None:
        raise UsageError(f"The data have no {scenario}.", where="--scenario", fix="Leave it out, or add the column.")
    known = ["" if name is None else str(name) for name in names.to_pylist()]
    return [known[code] if code >= 0 else "" for code in codes.tolist()]


def render_reasons(console: Console, found: Reasons) -> None:
    """Print influences, weights, and how alike annotators' factors are."""
    rows = found.to_frame().to_pylist()
    print_table(
        console,
        ["factor", ("annotator", "left"), "influence", "", "weight", ""],
        [
            [
                clean_text(row["factor"]),
                clean_text(row["annotator"]),
                number(row["influence"], 2, sign=True),
                span((row["low"], row["high"]), 2),
                number(row["weight"], 2, sign=True),
                span((row["weight_low"], row["weight_high"]), 2),
            ]
            for name in found.influence.factors
            for row in rows
            if row["factor"] == name
        ],
    )
    for agreed in found.agreement:
        one, other = agreed.annotators
        console.print(
            f"factors of {clean_text(one)} and {clean_text(other)}: correlation {number(agreed.pearson, 2)} "
            f"({span(agreed.pearson_interval, 2)})",
            soft_wrap=True,
        )
