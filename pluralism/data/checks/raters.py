"""How well people agree with the others who judged the same pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from pluralism.data.checks.view import SHOWN, View, not_tested
from pluralism.data.report import Check, tell

if TYPE_CHECKING:
    import pyarrow as pa

    from pluralism.data.comparisons import Comparisons

__all__ = ["RaterAgreement", "contrary_raters", "contrary_sources", "random_raters", "rater_agreement"]

LEVEL = 0.01
"""Chance that anybody at all is called contrary, or random, where nobody is (Bonferroni over the raters)."""
CLEAR_MAJORITY = 0.65
"""Below this mean agreement, answers at chance are nothing to remark on."""


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """Agreement of each rater with the majority of the others.

    Parameters
    ----------
    raters : LargeStringArray
        Labels.
    n : (raters,) int
        Pairs that the rater decided and on which the others, without this one, have a majority.
    agreed : (raters,) int
        On how many of them the rater is with that majority.
    p_below_chance : (raters,) float
        Probability of so few agreements, or fewer, by the throw of a coin.
    """

    raters: pa.LargeStringArray
    n: Int[np.ndarray, " raters"]
    agreed: Int[np.ndarray, " raters"]
    p_below_chance: Float[np.ndarray, " raters"]

    @property
    def overall(self) -> float:
        """Agreements as a share of all such pairs; NaN where there are none."""
        return float(self.agreed.sum() / self.n.sum()) if self.n.sum() else float("nan")

    def to_frame(self) -> pa.Table:
        """One row a rater: rater, n, agreement (null where n is 0), p_below_chance."""
        import pyarrow as pa

        agreement = pa.array(self.agreed / np.maximum(self.n, 1), mask=self.n == 0)
        return pa.table(
            {
                "rater": self.raters,
                "n": self.n,
                "agreement": agreement,
                "p_below_chance": self.p_below_chance,
            }
        )

    def __repr__(self) -> str:
        tested = int((self.n > 0).sum())
        return f"RaterAgreement({tested:,} of {len(self.n):,} raters share pairs; they agree in {self.overall:.1%})"


def rater_agreement(comparisons: Comparisons) -> RaterAgreement:
    """Compare each user with the majority of the others on the pairs they share.

    A user's repeated answers to a pair count as one (their majority), ties and undecided pairs are left out.

    Parameters
    ----------
    comparisons : Comparisons

    Examples
    --------
    >>> from pluralism.data import Comparisons
    >>> data = Comparisons.from_arrays(
    ...     ["a", "a", "b"], ["b", "b", "a"], user=["ann", "bob", "cy"], outcome=[1.0, 1.0, 1.0]
    ... )
    >>> rater_agreement(data).agreed.tolist()
    [0, 0, 0]
    >>> rater_agreement(data).n.tolist()
    [0, 0, 1]
    """
    view = View(comparisons, np.arange(1, len(comparisons) + 1))
    return _agreement(view, comparisons.user, comparisons.users)


def contrary_raters(view: View) -> Check:
    """Raters who are against the others significantly more often than a coin would be."""
    name = "raters against the others"
    if not view.known_users:
        return not_tested(name, "there is no column 'user'")
    found = _agreement(view, view.data.user, view.data.users)
    if not found.n.any():
        return not_tested(name, "no two users decided the same pair")
    return _contrary(
        name,
        found,
        "user",
        "They may have misread the question, answer to spoil it, or be a minority that a mixture should find: look at "
        "their answers before you leave anybody out.",
    )


def contrary_sources(view: View) -> Check:
    """Sources whose rows are against those of the others, as when chosen and rejected are swapped in one file."""
    name = "sources against the others"
    data = view.data
    if data.source is None or data.sources is None or len(data.sources) < 2:
        return not_tested(name, "there is no column 'source' with two values or more")
    known = data.source >= 0
    found = _agreement(View(data.take(known), view.rows[known]), data.source[known], data.sources)
    if not found.n.any():
        return not_tested(name, "no two sources decided the same pair")
    fix = "Look whether left and right, or chosen and rejected, are swapped in this source."
    return _contrary(name, found, "source", fix)


def random_raters(view: View) -> Check:
    """Raters who agree with the others far less than people do here, no better than a coin."""
    name = "raters at random"
    if not view.known_users:
        return not_tested(name, "there is no column 'user'")
    found = _agreement(view, view.data.user, view.data.users)
    if not found.n.any():
        return not_tested(name, "no two users decided the same pair")
    if found.overall < CLEAR_MAJORITY:
        return not_tested(name, f"people agree with the others in only {found.overall:.1%} of the shared pairs")
    tested = int((found.n > 0).sum())
    limit = LEVEL / tested
    below_usual = stats.binom.cdf(found.agreed, found.n, found.overall) < limit
    above_chance = stats.binom.sf(found.agreed - 1, found.n, 0.5) < 0.05
    random = np.flatnonzero(below_usual & ~above_chance & (found.p_below_chance >= limit))
    n = len(random)
    return Check(
        name,
        "warning",
        n == 0,
        f"{n:,} of {tell(tested, 'user', 'agree')} with the others no better than a coin, where people usually "
        f"agree in {found.overall:.1%}."
        if n
        else f"No user answers as if by a coin; people agree with the others in {found.overall:.1%} of shared pairs.",
        count=n,
        share=n / tested,
        samples=_samples(found, random, "user"),
        fix="They may answer without care, or have tastes of their own that a mixture should find: look at their "
        "answers before you leave anybody out.",
        measures={"agreement": found.overall, "tested": tested},
    )


def _contrary(name: str, found: RaterAgreement, noun: str, fix: str) -> Check:
    tested = int((found.n > 0).sum())
    contrary = np.flatnonzero((found.n > 0) & (found.p_below_chance < LEVEL / tested))
    contrary = contrary[np.argsort(found.p_below_chance[contrary], kind="stable")]
    n = len(contrary)
    return Check(
        name,
        "warning",
        n == 0,
        f"{n:,} of {tell(tested, noun, 'answer')} against the majority of the others far more often than by chance."
        if n
        else f"None of the {tested:,} {noun}s who share pairs is against the others more often than by chance.",
        count=n,
        share=n / tested,
        samples=_samples(found, contrary, noun),
        fix=fix,
        measures={"agreement": found.overall, "tested": tested},
    )


def _samples(found: RaterAgreement, raters: Int[np.ndarray, " raters"], noun: str) -> tuple[dict[str, object], ...]:
    return tuple(
        {
            noun: found.raters[int(rater)].as_py(),
            "agreement": float(found.agreed[rater] / found.n[rater]),
            "pairs": int(found.n[rater]),
        }
        for rater in raters[:SHOWN]
    )


def _agreement(view: View, rater: Int[np.ndarray, " pairs"], raters: pa.LargeStringArray) -> RaterAgreement:
    counted = view.counted & (view.answer != 0)
    pair, who = view.pair[counted], rater[counted].astype(np.int64)
    n_pairs = int(view.pair.max(initial=-1)) + 1
    cell, code = np.unique(who * max(n_pairs, 1) + pair, return_inverse=True)
    own = np.sign(np.bincount(code, weights=view.answer[counted], minlength=len(cell)))
    cell_rater, cell_pair = np.divmod(cell, max(n_pairs, 1))
    others = np.sign(np.bincount(cell_pair, weights=own, minlength=n_pairs)[cell_pair] - own)
    trial = (own != 0) & (others != 0)
    n = np.bincount(cell_rater[trial], minlength=len(raters))
    agreed = np.bincount(cell_rater[trial & (own == others)], minlength=len(raters))
    return RaterAgreement(raters, n, agreed, np.asarray(stats.binom.cdf(agreed, n, 0.5)))
