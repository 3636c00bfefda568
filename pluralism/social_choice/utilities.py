"""Utilities of groups on candidates, with a reference policy and a declared unit in which groups are compared."""

from __future__ import annotations

import json
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Float64, Int64
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from pluralism.calibration.cdf import weighted_midrank
from pluralism.data.arrays import as_indices, frozen
from pluralism.errors import ComparabilityWarning, DataError, UsageError
from pluralism.social_choice.names import candidate_names

__all__ = ["Reference", "Unit", "Utilities"]

Unit = Literal["raw", "gain", "normalised", "cdf", "regret"]
"""In what utilities are measured; see `Utilities`."""

Reference = Literal["list", "samples"]
"""What the candidates are: a scored list, over which the reference is renormalised, or samples from the reference."""

ROUNDING = 1e-13
"""Spread of utilities, relative to their size, that is rounding and no preference."""

_SHIFTED = ("raw", "gain", "regret")
"""Units that differ by a constant for each prompt and group."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Utilities:
    r"""What each candidate of each prompt is worth to each group.

    Rewards learnt from comparisons are known up to a constant for each prompt and group, and their scale is confounded
    with how noisily a group answers. So a unit is declared, p being the reference policy:

    ============ ===================================================================================================
    unit         value of a candidate y to a group
    ============ ===================================================================================================
    raw          the reward as given; comparing groups by it warns
    gain         :math:`r_y - E_p r`: what is gained over the reference, in the units of the reward
    normalised   the gain over its standard deviation under p (over all prompts); a group that does not care has 0
    cdf          :math:`\Pr_{z \sim p}[r_z < r_y] + \frac12 \Pr[r_z = r_y]`: the share of the reference beaten
    regret       :math:`r_y - \max_z r_z`: what is lost against the group's best candidate, 0 or less
    ============ ===================================================================================================

    Parameters
    ----------
    values : array of shape (prompts, candidates, groups)
        Finite where there is a candidate.
    log_reference : array of shape (prompts, candidates), optional
        Log-probabilities of the reference policy, not necessarily normalised; -inf where a prompt has no candidate in
        this place. Left out, all candidates are equally likely.
    shares : array of shape (groups,), optional
        How large each group is; normalised to 1. Left out, all are equally large.
    unit : {"raw", "gain", "normalised", "cdf", "regret"}
        In what `values` are.
    groups, prompts : sequence of str, optional
        Names; left out, numbers.
    items : int array of shape (prompts, candidates), optional
        Which of `candidates` stands in which place, -1 where there is none.
    candidates : sequence of str, optional
        Names of the candidates of all prompts; left out, numbers.
    prompt_weights : array of shape (prompts,), optional
        How much each prompt counts in averages; normalised to 1. Left out, all count the same.
    reference : {"list", "samples"}
        Whether the candidates are all there are, or samples drawn from the reference policy (then leave
        `log_reference` out, or give 0 for each sample).

    Examples
    --------
    >>> utilities = Utilities.from_matrix([[3.0, 1.0, 0.0], [0.0, 0.5, 2.0]], shares=[0.7, 0.3])
    >>> utilities
    Utilities(raw; 1 prompt, 3 candidates, 2 groups of shares 0.70, 0.30)
    >>> utilities.to_unit("cdf").values[0].T
    array([[0.83333333, 0.5       , 0.16666667],
           [0.16666667, 0.5       , 0.83333333]])
    """

    values: Float64[np.ndarray, "prompts candidates groups"]
    log_reference: Float64[np.ndarray, "prompts candidates"]
    shares: Float64[np.ndarray, " groups"]
    unit: Unit
    groups: tuple[str, ...]
    prompts: tuple[str, ...]
    items: Int64[np.ndarray, "prompts candidates"]
    candidates: tuple[str, ...]
    prompt_weights: Float64[np.ndarray, " prompts"]
    reference: Reference

    def __init__(
        self,
        values: ArrayLike,
        log_reference: ArrayLike | None = None,
        shares: ArrayLike | None = None,
        *,
        unit: Unit = "raw",
        groups: Sequence[Hashable] | None = None,
        prompts: Sequence[Hashable] | None = None,
        items: ArrayLike | None = None,
        candidates: Sequence[Hashable] | None = None,
        prompt_weights: ArrayLike | None = None,
        reference: Reference = "list",
    ) -> None:
        array = np.array(values, dtype=np.float64)
        if array.ndim != 3 or 0 in array.shape:
            raise DataError(
                f"Utilities have shape (prompts, candidates, groups), not {array.shape}.",
                fix="Use Utilities.from_matrix for one prompt, or Utilities.from_items for a table of items.",
            )
        _check_choice("unit", unit, get_args(Unit))
        _check_choice("reference", reference, get_args(Reference))
        n_prompts, n_candidates, n_groups = array.shape
        logs = normalised_log_reference(log_reference, (n_prompts, n_candidates))
        there = np.isfinite(logs)
        if not np.isfinite(array[there]).all():
            prompt, place = np.argwhere(there & ~np.isfinite(array).all(axis=2))[0]
            raise DataError(
                "A utility is NaN or infinite.",
                where=f"prompt {prompt}, candidate {place}",
                fix="Leave such candidates out: log_reference = -inf.",
            )
        array[~there] = 0.0
        places = np.where(there, np.arange(array[..., 0].size).reshape(there.shape), -1) if items is None else items
        given = np.asarray(places)
        whole = given.shape == there.shape and given.dtype.kind in "iu"
        codes = given.astype(np.int64) if whole else np.full(there.shape, -1)
        names = range(int(codes.max()) + 1) if candidates is None else candidates
        sorted_codes = np.sort(np.where(there, codes, np.arange(-codes.size, 0).reshape(codes.shape)), axis=1)
        repeated = reference == "list" and bool((np.diff(sorted_codes, axis=1) == 0).any())
        if not whole or ((codes >= 0) != there).any() or codes.max() >= len(names) or repeated:
            raise DataError(
                "items do not fit the utilities.",
                fix="Give the number of a candidate in each place that has one, once a prompt, and -1 elsewhere.",
            )
        self.__dict__.update(
            values=frozen(array),
            log_reference=frozen(logs),
            shares=frozen(_shares(shares, n_groups, "shares")),
            unit=unit,
            groups=_named(groups, n_groups, "groups"),
            prompts=_named(prompts, n_prompts, "prompts"),
            items=frozen(codes),
            candidates=candidate_names(names),
            prompt_weights=frozen(_shares(prompt_weights, n_prompts, "prompt_weights")),
            reference=reference,
        )

    @classmethod
    def from_matrix(
        cls,
        matrix: ArrayLike,
        *,
        reference: ArrayLike | None = None,
        candidates: Sequence[Hashable] | None = None,
        groups: Sequence[Hashable] | None = None,
        shares: ArrayLike | None = None,
        unit: Unit = "raw",
    ) -> Utilities:
        """Utilities of one prompt, or of none.

        Parameters
        ----------
        matrix : array of shape (groups, candidates)
        reference : array of shape (candidates,), optional
            Probabilities of the reference policy; left out, all are equally likely.
        """
        array = np.asarray(matrix, dtype=float)
        if array.ndim != 2:
            raise DataError(
                f"A matrix of utilities has shape (groups, candidates), not {array.shape}.", fix="Pass one."
            )
        logs = None
        if reference is not None:
            chances = np.asarray(reference, dtype=float)
            if chances.shape != (array.shape[1],) or not (chances >= 0).all():
                raise DataError(
                    f"A reference policy has {array.shape[1]} probabilities of at least 0.",
                    fix="Give one for each candidate.",
                )
            with np.errstate(divide="ignore"):
                logs = np.log(chances)[None]
        names = range(array.shape[1]) if candidates is None else candidates
        there = np.ones(array.shape[1], bool) if logs is None else np.isfinite(logs[0])
        items = np.where(there, np.arange(array.shape[1]), -1)[None]
        return cls(array.T[None], logs, shares, unit=unit, groups=groups, items=items, candidates=names)

    @classmethod
    def from_items(
        cls,
        scores: Float[np.ndarray, "items groups"],
        prompt: ArrayLike,
        *,
        log_reference: ArrayLike | None = None,
        shares: ArrayLike | None = None,
        unit: Unit = "raw",
        groups: Sequence[Hashable] | None = None,
        prompts: Sequence[Hashable] | None = None,
        candidates: Sequence[Hashable] | None = None,
        reference: Reference = "list",
    ) -> Utilities:
        """Utilities of a table of items, each of which answers a prompt.

        Parameters
        ----------
        scores : array of shape (items, groups)
        prompt : int array of shape (items,)
            Codes 0, 1, ... of the prompts.
        log_reference : array of shape (items,), optional
        candidates : sequence of str, optional
            Names of the items.
        """
        values = np.asarray(scores, dtype=float)
        codes = np.asarray(prompt)
        if values.ndim != 2 or codes.shape != (len(values),) or codes.dtype.kind not in "iu" or len(values) == 0:
            raise DataError(
                f"Scores of shape {values.shape} do not fit prompts of shape {codes.shape}.",
                fix="Give one row of scores and one prompt number for each item.",
            )
        given = np.zeros(len(values)) if log_reference is None else np.asarray(log_reference, dtype=float)
        if codes.min() < 0 or given.shape != codes.shape or (candidates is not None and len(candidates) != len(values)):
            raise DataError(
                f"Prompts, log_reference and candidates do not fit {len(values)} items.",
                fix="Give one of each for every item; prompts are numbered from 0.",
            )
        n_prompts = int(codes.max()) + 1
        sizes = np.bincount(codes, minlength=n_prompts)
        if (sizes == 0).any():
            raise DataError(
                f"Prompt {int(np.flatnonzero(sizes == 0)[0])} has no candidates.", fix="Number prompts 0, 1, ... ."
            )
        order = np.argsort(codes, kind="stable")
        place = np.arange(len(values)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        items = np.full((n_prompts, int(sizes.max())), -1, dtype=np.int64)
        items[codes[order], place] = order
        there = items >= 0
        logs = np.where(there, given[items], -np.inf)
        items = np.where(np.isneginf(logs), -1, items)
        names = range(len(values)) if candidates is None else candidates
        return cls(
            np.where(there[..., None], values[items], 0.0),
            logs,
            shares,
            unit=unit,
            groups=groups,
            prompts=prompts,
            items=items,
            candidates=names,
            reference=reference,
        )

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return self.values.shape[0]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return self.values.shape[2]

    @cached_property
    def mask(self) -> Bool[np.ndarray, "prompts candidates"]:
        """Where there is a candidate."""
        return frozen(np.isfinite(self.log_reference))

    @cached_property
    def reference_mean(self) -> Float[np.ndarray, "prompts groups"]:
        """Mean utility under the reference policy, of each prompt."""
        return np.einsum("xy,xyk->xk", np.exp(self.log_reference), self.values)

    @cached_property
    def spread(self) -> Float[np.ndarray, " groups"]:
        """Standard deviation of the gain over the reference, under it, over all prompts; 0 for who does not care."""
        gain = np.where(self.mask[..., None], self.values - self.reference_mean[:, None], 0.0)
        spread = np.sqrt(np.einsum("x,xy,xyk->k", self.prompt_weights, np.exp(self.log_reference), gain**2))
        return np.where(spread > ROUNDING * np.abs(self.values).max(axis=(0, 1)), spread, 0.0)

    @cached_property
    def best(self) -> Float[np.ndarray, "prompts groups"]:
        """The best candidate's utility, of each prompt."""
        return np.where(self.mask[..., None], self.values, -np.inf).max(axis=1)

    def expected(self, log_policy: Float[np.ndarray, "prompts candidates"]) -> Float[np.ndarray, " groups"]:
        """Mean utility of each group under a policy, over prompts."""
        return np.einsum("x,xy,xyk->k", self.prompt_weights, np.exp(log_policy), self.values)

    def to_unit(self, unit: Unit) -> Utilities:
        """The same in another unit.

        Raises
        ------
        UsageError
            If the unit cannot be had from this one, whose zero or scale is lost.
        """
        _check_choice("unit", unit, get_args(Unit))
        if unit == self.unit:
            return self
        if unit == "raw" or (self.unit not in _SHIFTED and unit != "cdf"):
            raise UsageError(
                f"Utilities in the unit {self.unit!r} cannot be turned into {unit!r}.",
                fix="Start again from the raw rewards.",
            )
        if unit == "cdf":
            values = weighted_midrank(self.values, np.exp(self.log_reference))
        elif unit == "regret":
            values = self.values - self.best[:, None]
        else:
            values = self.values - self.reference_mean[:, None]
        if unit == "normalised":
            values = np.where(self.spread > 0, values / np.where(self.spread > 0, self.spread, 1.0), 0.0)
        return self._replace(values=frozen(np.where(self.mask[..., None], values, 0.0)), unit=unit)

    def warn_if_raw(self, what: str) -> None:
        """Warn that `what` compares groups by raw rewards."""
        if self.unit == "raw":
            warnings.warn(
                f"{what} compares groups by raw rewards, whose zero is arbitrary for each prompt and group. Use "
                "to_unit('gain'), or 'cdf', 'normalised' or 'regret'.",
                ComparabilityWarning,
                stacklevel=3,
            )

    def take(self, index: Any) -> Utilities:
        """The prompts of a mask, a slice or indices; their weights are normalised anew."""
        rows = as_indices(index, self.n_prompts)
        if len(rows) == 0:
            raise UsageError("No prompt is left.", fix="Take at least one.")
        weights = self.prompt_weights[rows]
        return self._replace(
            values=frozen(self.values[rows]),
            log_reference=frozen(self.log_reference[rows]),
            items=frozen(self.items[rows]),
            prompts=tuple(self.prompts[row] for row in rows),
            prompt_weights=frozen(_shares(weights, len(rows), "prompt_weights")),
        )

    def to_frame(self) -> pa.Table:
        """Columns `prompt, candidate, reference`, and one of utilities for each group; one row a candidate."""
        row, place = np.nonzero(self.mask)
        columns: dict[str, Any] = {
            "prompt": pa.array(self.prompts, pa.large_string()).take(pa.array(row)),
            "candidate": pa.array(self.candidates, pa.large_string()).take(pa.array(self.items[row, place])),
            "reference": np.exp(self.log_reference[row, place]),
        }
        columns |= {f"utility_{name}": self.values[row, place, k] for k, name in enumerate(self.groups)}
        return pa.table(columns)

    def to_json(self, *, indent: int | None = None) -> str:
        """A JSON object with `unit`, `reference`, `groups`, `shares`, and `rows` as `to_frame` has them."""
        document = {
            "unit": self.unit,
            "reference": self.reference,
            "groups": list(self.groups),
            "shares": self.shares.tolist(),
            "rows": self.to_frame().to_pylist(),
        }
        return json.dumps(document, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        counts = self.mask.sum(axis=1)
        low, high = int(counts.min()), int(counts.max())
        each = f"{high:,}" if low == high else f"{low:,} to {high:,}"
        shares = ", ".join(f"{share:.2f}" for share in self.shares)
        of = f"{self.n_groups} group{'s' * (self.n_groups != 1)} of shares {shares}"
        return (
            f"Utilities({self.unit}; {self.n_prompts:,} prompt{'s' * (self.n_prompts != 1)}, {each} "
            f"candidate{'s' * (high != 1)}{' each' * (self.n_prompts > 1)}, {of})"
        )

    def _replace(self, **changes: Any) -> Utilities:
        new = object.__new__(type(self))
        kept = {name: getattr(self, name) for name in type(self).__dataclass_fields__}
        new.__dict__.update(kept | changes)
        return new


def normalised_log_reference(
    log_reference: ArrayLike | None, shape: tuple[int, int]
) -> Float64[np.ndarray, "prompts candidates"]:
    """Log-probabilities that sum to 1 for each prompt."""
    if log_reference is None:
        return np.full(shape, -np.log(shape[1]))
    logs = np.asarray(log_reference, dtype=np.float64)
    if logs.shape != shape or np.isnan(logs).any() or np.isposinf(logs).any():
        raise DataError(
            f"log_reference is an array of shape {shape} of numbers and -inf.",
            fix="Give the reference policy's log-probability of each candidate.",
        )
    total = logsumexp(logs, axis=1, keepdims=True)
    if np.isneginf(total).any():
        raise DataError(
            f"Prompt {int(np.flatnonzero(np.isneginf(total[:, 0]))[0])} has no candidate of positive probability.",
            fix="Give each prompt at least one.",
        )
    return logs - total


def _shares(given: ArrayLike | None, n: int, name: str) -> Float64[np.ndarray, " n"]:
    if given is None:
        return np.full(n, 1.0 / n)
    array = np.asarray(given, dtype=np.float64)
    if array.shape != (n,) or not np.isfinite(array).all() or (array < 0).any() or not array.any():
        raise DataError(f"{name} are {n} numbers of at least 0, not all 0.", fix="Give one for each.")
    return array / array.sum()


def _named(given: Sequence[Hashable] | None, n: int, name: str) -> tuple[str, ...]:
    names = tuple(map(str, range(n) if given is None else given))
    if len(names) != n or len(set(names)) != n:
        raise DataError(f"{name} are {n} distinct names.", fix="Give one for each.")
    return names


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name}={value!r} is not possible.", fix=f"It is one of {', '.join(choices)}.")
