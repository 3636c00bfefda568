"""Gradient entanglement: what one step of a margin loss does to the chosen and to the rejected response."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.rows import as_numbers, splits
from pluralism.errors import DataError
from pluralism.figures import FOCUS, INK, POOLED, group_colour, own_axes, tidy, tidy_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Entanglement", "entanglement"]

Pairs = Float[np.ndarray, " pairs"]


@dataclass(frozen=True, eq=False, repr=False)
class Entanglement(InstrumentResult):
    r"""How a gradient step of a margin loss moves the two log-probabilities of each pair.

    Attributes
    ----------
    inner : array of shape (pairs,)
        :math:`\langle \nabla \log \pi_w, \nabla \log \pi_l \rangle`.
    chosen, rejected : array of shape (pairs,)
        :math:`\|\nabla \log \pi_w\|^2` and :math:`\|\nabla \log \pi_l\|^2`.
    d_chosen, d_rejected : array of shape (pairs,)
        :math:`d_w = -\partial L / \partial \log \pi_w` and :math:`d_l = \partial L / \partial \log \pi_l`.
    observed_chosen, observed_rejected : array of shape (pairs,), optional
        Changes of both log-probabilities after one tiny step, in nats.
    rate : array of shape (pairs,), optional
        The learning rate of that step.
    groups : tuple of str, optional
        The group of each pair.
    """

    inner: Pairs
    chosen: Pairs
    rejected: Pairs
    d_chosen: Pairs
    d_rejected: Pairs
    observed_chosen: Pairs | None = None
    observed_rejected: Pairs | None = None
    rate: Pairs | None = None
    groups: tuple[str, ...] | None = None

    @property
    def change_chosen(self) -> Pairs:
        r"""First-order change of :math:`\log \pi_w` for a learning rate of 1."""
        return self.d_chosen * self.chosen - self.d_rejected * self.inner

    @property
    def change_rejected(self) -> Pairs:
        r"""First-order change of :math:`\log \pi_l` for a learning rate of 1."""
        return self.d_chosen * self.inner - self.d_rejected * self.rejected

    @property
    def chosen_rises(self) -> Bool[np.ndarray, " pairs"]:
        r"""Whether :math:`\langle \nabla_w, \nabla_l \rangle \le (d_w / d_l) \|\nabla_w\|^2`, for positive d.

        In general, whether `change_chosen` is at least 0.
        """
        return self.d_rejected * self.inner <= self.d_chosen * self.chosen

    @property
    def rejected_falls(self) -> Bool[np.ndarray, " pairs"]:
        r"""Whether :math:`\langle \nabla_w, \nabla_l \rangle \le (d_l / d_w) \|\nabla_l\|^2`, for positive d.

        In general, whether `change_rejected` is at most 0. By the inequality of Cauchy and Schwarz one of the two
        conditions holds for any positive :math:`d_w, d_l`.
        """
        return self.d_chosen * self.inner <= self.d_rejected * self.rejected

    @property
    def cosine(self) -> Pairs:
        """Cosine between the two gradients; NaN where one is 0."""
        size = np.sqrt(self.chosen) * np.sqrt(self.rejected)
        return np.divide(self.inner, size, out=np.full(len(size), np.nan), where=size > 0)

    @property
    def ratio(self) -> Pairs:
        """Inner product over the smaller squared norm; with equal d above 1 the two responses move together."""
        least = np.minimum(self.chosen, self.rejected)
        return np.divide(self.inner, least, out=np.full(len(least), np.nan), where=least > 0)

    def signs_agree(self, *, resolution: float = 0.0) -> float:
        """Share of the changes whose observed sign is the predicted one; NaN where none was observed.

        Parameters
        ----------
        resolution : float
            Leave out changes predicted to be no larger than this, in nats: arithmetic and curvature decide those.
        """
        if self.observed_chosen is None or self.observed_rejected is None or self.rate is None:
            return float("nan")
        predicted = np.concatenate([self.rate * self.change_chosen, self.rate * self.change_rejected])
        observed = np.concatenate([self.observed_chosen, self.observed_rejected])
        clear = np.abs(predicted) > resolution
        return float(np.mean(np.sign(predicted[clear]) == np.sign(observed[clear]))) if clear.any() else float("nan")

    def by_group(self) -> pa.Table:
        """One row for all pairs and one for each group.

        Columns `group, pairs, chosen_rises, rejected_falls, entangled` (shares of the pairs; entangled are those of
        which only one condition holds) and `cosine` (the median).
        """
        rises, falls, cosine = self.chosen_rises, self.rejected_falls, self.cosine
        rows = splits(self.groups, len(self.inner))
        return pa.table(
            {
                "group": list(rows),
                "pairs": [int(here.sum()) for here in rows.values()],
                "chosen_rises": [float(rises[here].mean()) for here in rows.values()],
                "rejected_falls": [float(falls[here].mean()) for here in rows.values()],
                "entangled": [float((rises != falls)[here].mean()) for here in rows.values()],
                "cosine": [_median(cosine[here]) for here in rows.values()],
            }
        )

    def to_frame(self) -> pa.Table:
        """One row a pair: the attributes, `cosine`, `ratio`, and both conditions."""
        names = ["inner", "chosen", "rejected", "d_chosen", "d_rejected", "change_chosen", "change_rejected"]
        names += ["cosine", "ratio", "chosen_rises", "rejected_falls"]
        names += [] if self.rate is None else ["rate", "observed_chosen", "observed_rejected"]
        columns: dict[str, Any] = {} if self.groups is None else {"group": list(self.groups)}
        return pa.table(columns | {name: getattr(self, name) for name in names})

    def to_dict(self) -> dict[str, Any]:
        """`by_group`, the share of signs that were predicted, and the rows of `to_frame`."""
        return {
            "signs_agree": self.signs_agree(),
            "groups": self.by_group().to_pylist(),
            "rows": self.to_frame().to_pylist(),
        }

    def __repr__(self) -> str:
        columns = {name.replace("_", " "): values for name, values in self.by_group().to_pydict().items()}
        lines = ["Entanglement", format_table(columns, digits=3)]
        if self.rate is not None:
            lines.append(f"after one step, {self.signs_agree():.1%} of the signs are as predicted")
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the pairs by their inner product over both squared norms, weighted by d: beyond 1 a condition fails.

        Where a loss pulls back (d below 0) the place is that of a pair of positive d that moves as much. Pairs of which
        a gradient or a pull is 0 have no place.
        """
        ax = own_axes(ax, 4.4, 3.8)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = 1 - self.change_chosen / (np.abs(self.d_chosen) * self.chosen)
            y = 1 + self.change_rejected / (np.abs(self.d_rejected) * self.rejected)
        for line in (ax.axvline, ax.axhline):
            line(1.0, color=INK, alpha=0.5, linewidth=1.0, linestyle=(0, (4, 3)))
        kinds = (
            ("as wanted", self.chosen_rises & self.rejected_falls, "o", FOCUS),
            ("chosen falls", ~self.chosen_rises, "s", group_colour(1)),
            ("rejected rises", ~self.rejected_falls, "^", POOLED),
        )
        for name, rows, marker, colour in kinds:
            ax.plot(x[rows], y[rows], marker, color=colour, markersize=5, markeredgewidth=0, label=name)
        ax.set_xscale("symlog", linthresh=1.0)
        ax.set_yscale("symlog", linthresh=1.0)
        tidy(ax, grid="both", xlabel="⟨w,l⟩ d_l / (d_w ‖w‖²)", ylabel="⟨w,l⟩ d_w / (d_l ‖l‖²)")
        tidy_legend(ax, loc="best")
        return ax


def entanglement(
    inner: ArrayLike,
    chosen: ArrayLike,
    rejected: ArrayLike,
    *,
    d_chosen: ArrayLike = 1.0,
    d_rejected: ArrayLike = 1.0,
    groups: Sequence[Hashable] | None = None,
) -> Entanglement:
    r"""Predict how a step along :math:`d_w \nabla \log \pi_w - d_l \nabla \log \pi_l` moves both responses [1]_.

    `entanglement_of_model` computes the gradients of a language model, and takes the step.

    Parameters
    ----------
    inner, chosen, rejected : array of shape (pairs,)
        Inner product of the two gradients, and their squared norms.
    d_chosen, d_rejected : float or array of shape (pairs,)
        Of the loss; equal for DPO. Below 0 where the loss pulls the margin back, as IPO's beyond its target.
    groups : sequence, optional
        The group that each pair comes from.

    Raises
    ------
    DataError
        If there are no pairs, the arrays do not fit each other or are not finite, or an inner product or a squared norm
        cannot be one.

    References
    ----------
    .. [1] H. Yuan et al., "A common pitfall of margin-based language model alignment: gradient entanglement",
       ICLR 2025, arXiv:2410.13828. The published plots use the chosen response's norm in both conditions.

    Examples
    --------
    >>> found = entanglement([2.0], [1.0], [9.0])
    >>> found.chosen_rises, found.rejected_falls, found.change_chosen
    (array([False]), array([ True]), array([-1.]))
    """
    inner_product = as_numbers(inner, "inner")
    shape = inner_product.shape
    squares = as_numbers(chosen, "chosen", shape), as_numbers(rejected, "rejected", shape)
    d = [
        as_numbers(np.full(shape, each) if np.ndim(each) == 0 else each, name, shape)
        for name, each in (("d_chosen", d_chosen), ("d_rejected", d_rejected))
    ]
    if any((each < 0).any() for each in squares):
        raise DataError("A squared norm is below 0.", fix="Pass the squares of the gradients' norms.")
    # By the largest norm, whose square might overflow.
    unit = np.maximum(np.maximum(*squares), np.finfo(float).tiny)
    beyond = (inner_product / unit) ** 2 - (1 + 1e-9) * (squares[0] / unit) * (squares[1] / unit)
    if (beyond > 0).any():
        raise DataError(
            "An inner product is larger than the product of the norms.",
            where=f"pair {int(np.argmax(beyond)) + 1}",
            fix="Pass squared norms of the same gradients.",
        )
    splits(groups, len(inner_product))
    names = None if groups is None else tuple(str(group) for group in groups)
    return Entanglement(inner_product, squares[0], squares[1], d[0], d[1], groups=names)


def _median(values: Pairs) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
