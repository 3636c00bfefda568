"""The answers as a whole: is one side preferred for its place, and how many are ties."""

from __future__ import annotations

import numpy as np
from scipy import stats

from pluralism.data.checks.view import View, not_tested
from pluralism.data.report import Check, tell

__all__ = ["order_bias", "tie_share"]

LEVEL = 0.001
"""Two-sided level of the test for order bias."""
SMALLEST_BIAS = 0.02
"""Distance of the left share from one half that is worth a warning, however sure."""
MANY_TIES = 0.5


def order_bias(view: View) -> Check:
    """Exact two-sided binomial test of left preferred in half of the decided rows, ties left out."""
    name = "order bias"
    if view.data.origin != "comparisons":
        return not_tested(name, f"the rows were made of {view.data.origin}")
    if not view.ordered:
        return not_tested(name, "files of chosen and rejected texts do not say which was shown first")
    n_left, n_right = int((view.data.outcome > 0.5).sum()), int((view.data.outcome < 0.5).sum())
    n = n_left + n_right
    if n == 0:
        return not_tested(name, "no row is decided")
    share = n_left / n
    p_value = float(stats.binomtest(n_left, n, 0.5).pvalue)
    biased = p_value < LEVEL and abs(share - 0.5) >= SMALLEST_BIAS
    one_sided = biased and n_right == 0
    against = n_right if share >= 0.5 else n_left
    odd = np.flatnonzero(view.data.outcome > 0.5 if share >= 0.5 else view.data.outcome < 0.5)
    return Check(
        name,
        "warning",
        not biased,
        f"The left item is preferred in {n_left:,} of {n:,} decided rows ({share:.1%}; p = {p_value:.2g})."
        + (" If the preferred text was always written first, this says nothing about order." if one_sided else ""),
        count=n - 2 * against if biased else 0,
        share=share,
        samples=view.show(odd) if biased else (),
        fix="Show each pair in random order; on these data fit models with position_bias=True, which estimates it.",
        measures={"left_share": share, "p_value": p_value, "left": n_left, "decided": n},
    )


def tie_share(view: View) -> Check:
    """Share of outcomes of exactly one half."""
    ties = np.flatnonzero(view.data.outcome == 0.5)
    n, share = len(ties), view.share(len(ties))
    graded = int(((view.data.outcome > 0) & (view.data.outcome < 1)).sum()) - n
    if n == len(view.data):
        found = "All rows are ties: nothing says what anybody prefers."
    else:
        found = f"{n:,} of {len(view.data):,} rows are ties ({share:.1%})." if n else "No row is a tie."
    if graded:
        found += f" {tell(graded, 'row', 'are')} graded (between 0 and 1, not a half)."
    return Check(
        "tie share",
        "warning",
        share <= MANY_TIES,
        found,
        count=n,
        share=share,
        samples=view.show(ties) if share > MANY_TIES else (),
        fix="Fit models with ties='davidson', and ask for a decision where people can make one.",
        measures={"tie_share": share, "graded": graded},
    )
