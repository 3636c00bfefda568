"""How hard a pair is for DPO: how low the loss must fall before the ranking turns round."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from scipy.special import log_expit

from pluralism.calibration.text import format_table
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.pair_log_probs import PairLogProbs
from pluralism.diagnostics.rows import ALL, shares_with_intervals, splits
from pluralism.errors import DataError
from pluralism.figures import FOCUS, INK, own_axes, tidy
from pluralism.policy.kl_optimal import check_beta

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DPOHardness", "dpo_hardness"]

BINS = 10


@dataclass(frozen=True, eq=False, repr=False)
class DPOHardness(InstrumentResult):
    r"""How far the reference is from each pair, and what that asks of the loss.

    Attributes
    ----------
    hardness : array of shape (pairs,)
        :math:`c = \log p(y_l) - \log p(y_w)` in nats; above 0 the reference ranks the pair wrong.
    threshold : array of shape (pairs,)
        :math:`-\log \sigma(\beta c)`: the pair is ranked right (ties count) if and only if its loss is at most this.
    loss : array of shape (pairs,), optional
        DPO's loss of the trained policy.
    right : bool array of shape (pairs,), optional
        Whether the trained policy finds the chosen response at least as likely.
    groups : tuple of str
        Of each pair; "all" where there are none.
    beta : float
    """

    hardness: Float[np.ndarray, " pairs"]
    threshold: Float[np.ndarray, " pairs"]
    loss: Float[np.ndarray, " pairs"] | None
    right: Bool[np.ndarray, " pairs"] | None
    groups: tuple[str, ...]
    beta: float

    def by_group(self) -> pa.Table:
        """One row for all pairs and one for each group.

        Columns `group, pairs, reference_right, hardness_median, hardness_high` (the ninth decile), and with a trained
        policy `right`, `mended` (of the pairs that the reference ranks wrong, the share now right) and `spoilt` (of
        those it ranks right, the share now wrong); NaN where there are none.
        """
        rows = splits(None if set(self.groups) == {ALL} else self.groups, len(self.hardness))
        start = self.hardness <= 0
        columns: dict[str, list[Any]] = {"group": list(rows)}
        for here in rows.values():
            c = self.hardness[here]
            values: dict[str, float] = {
                "pairs": len(c),
                "reference_right": float(start[here].mean()),
                "hardness_median": float(np.median(c)),
                "hardness_high": float(np.quantile(c, 0.9)),
            }
            if self.right is not None:
                values["right"] = float(self.right[here].mean())
                values["mended"] = _share(self.right, here & ~start)
                values["spoilt"] = _share(~self.right, here & start)
            for name, value in values.items():
                columns.setdefault(name, []).append(value)
        return pa.table(columns)

    def to_frame(self) -> pa.Table:
        """One row a pair: `group, hardness, threshold`, and with a trained policy `loss, right`."""
        columns: dict[str, Any] = {"group": list(self.groups), "hardness": self.hardness, "threshold": self.threshold}
        if self.loss is not None:
            columns |= {"loss": self.loss, "right": self.right}
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """`by_group`, and the rows of `to_frame`."""
        return {"beta": self.beta, "groups": self.by_group().to_pylist(), "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        columns = {name.replace("_", " "): values for name, values in self.by_group().to_pydict().items()}
        return f"DPOHardness(beta={self.beta:g})\n{format_table(columns, digits=3)}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the share ranked right by hardness, in bins of equally many pairs; without a policy, a histogram."""
        ax = own_axes(ax, 5.0, 3.2)
        ax.axvline(0.0, color=INK, alpha=0.5, linewidth=1.0, linestyle=(0, (4, 3)))
        xlabel = "hardness: log p(rejected) − log p(chosen), nats"
        if self.right is None:
            ax.hist(self.hardness, bins=2 * BINS, color=FOCUS, alpha=0.7)
            tidy(ax, grid="y", xlabel=xlabel, ylabel="pairs")
            return ax
        order = np.argsort(self.hardness, kind="stable")
        bins = np.array_split(order, min(BINS, len(order)))
        share, low, high = shares_with_intervals([self.right[b].sum() for b in bins], [len(b) for b in bins], 0.95)
        centre = np.array([np.mean(self.hardness[b]) for b in bins])
        ax.vlines(centre, low, high, colors=FOCUS, linewidth=1.6, alpha=0.55)
        ax.plot(centre, share, "o-", color=FOCUS, markersize=4.5, linewidth=1.2)
        ax.set_ylim(-0.03, 1.03)
        tidy(ax, grid="both", xlabel=xlabel, ylabel="share ranked right")
        return ax


def dpo_hardness(
    reference: PairLogProbs,
    *,
    beta: float,
    policy: PairLogProbs | None = None,
    groups: Sequence[Hashable] | None = None,
) -> DPOHardness:
    r"""How low DPO's loss of each pair must fall for the pair to be ranked right [1]_.

    Parameters
    ----------
    reference : PairLogProbs
        Of the policy that training starts from.
    beta : float
        Of DPO, above 0.
    policy : PairLogProbs, optional
        Of the trained policy.
    groups : sequence, optional
        The group that each pair comes from.

    Raises
    ------
    DataError
        If there are no pairs, or policy, reference and groups do not have the same ones.
    UsageError
        If beta is not above 0.

    References
    ----------
    .. [1] A. Chen et al., "Preference learning algorithms do not learn preference rankings", NeurIPS 2024,
       arXiv:2405.19534. The published code divides log-probabilities where it does not normalise lengths;
       here they are subtracted.

    Examples
    --------
    >>> found = dpo_hardness(PairLogProbs([-10.0], [-6.0]), beta=0.1, policy=PairLogProbs([-7.0], [-7.0]))
    >>> found.hardness, found.threshold.round(4), found.loss.round(4), found.right
    (array([4.]), array([0.513]), array([0.513]), array([ True]))
    """
    beta = check_beta(beta, positive=True)
    names = list(splits(groups, len(reference)))
    if policy is not None and len(policy) != len(reference):
        raise DataError("policy and reference have different pairs.", fix="Score the same pairs by both.")
    c = -reference.margin
    return DPOHardness(
        hardness=c,
        threshold=-log_expit(beta * c),
        loss=None if policy is None else -log_expit(beta * (policy.margin + c)),
        right=None if policy is None else policy.margin >= 0,
        groups=tuple(names * len(reference)) if groups is None else tuple(str(group) for group in groups),
        beta=beta,
    )


def _share(flags: Bool[np.ndarray, " pairs"], rows: Bool[np.ndarray, " pairs"]) -> float:
    return float(flags[rows].mean()) if rows.any() else float("nan")
