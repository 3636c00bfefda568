"""Every group judges every condition: win rates, whether each prefers what was made for it, who gains and who loses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import DataError, UsageError
from pluralism.evaluation.bootstrap import resample_users
from pluralism.policy.lm.diagonal_test import label_permutation
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CrossScores", "Diagonal", "cross_scores"]


@dataclass(frozen=True, eq=False)
class Diagonal:
    r"""Whether groups prefer what one method made for them to what it made for others.

    Attributes
    ----------
    method : str
    statistic : float
        Mean over groups of :math:`W_{gg} - \operatorname{mean}_{c \ne g} W_{gc}`, W being win rates against the
        reference; in [-1, 1].
    interval : (float, float)
        Bootstrap over prompts.
    p : float
        One-sided, conditions permuted within prompts; see `label_permutation`.
    group_statistic : array of shape (groups,)
    group_interval : array of shape (groups, 2)
    group_p : array of shape (groups,)
        Of each group alone. That *all* groups prefer theirs is shown at the level of the largest, uncorrected.
    exact : bool
        Whether all permutations were counted.
    """

    method: str
    statistic: float
    interval: tuple[float, float]
    p: float
    group_statistic: Float[np.ndarray, " groups"]
    group_interval: Float[np.ndarray, "groups 2"]
    group_p: Float[np.ndarray, " groups"]
    exact: bool

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return json_ready({field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True, eq=False, repr=False)
class CrossScores:
    """What each group thinks of each condition, by a judge of its own.

    Attributes
    ----------
    groups, conditions : tuple of str
    methods : tuple of str
        The method of each condition.
    made_for : int array of shape (conditions,)
        The group that a condition was made for; -1 for all.
    shares : array of shape (groups,)
        How large each group is.
    win_rate : array of shape (groups, conditions)
        Chance that the judge of a group prefers a response of the condition to one of the reference, on the same
        prompt; a tie is half.
    low, high : arrays of shape (groups, conditions)
        Its interval: bootstrap over prompts.
    between : array of shape (groups, conditions, conditions)
        The same of the row's condition against the column's.
    gain : array of shape (groups, conditions)
        Mean reward over that of the reference, in logits of the group.
    mean : array of shape (conditions,)
        Win rate over all people: groups weighted by their shares.
    worst : array of shape (conditions,)
        Win rate of the group that has least.
    worst_low, worst_high : arrays of shape (conditions,)
        Its interval; the group may be another one in each draw.
    diagonals : tuple of Diagonal
        One for each method that made a condition for every group.
    n_prompts, n_samples : int
        Prompts, and responses of a condition to each.
    level : float
        Of all intervals.
    """

    groups: tuple[str, ...]
    conditions: tuple[str, ...]
    methods: tuple[str, ...]
    made_for: Int[np.ndarray, " conditions"]
    shares: Float[np.ndarray, " groups"]
    win_rate: Float[np.ndarray, "groups conditions"]
    low: Float[np.ndarray, "groups conditions"]
    high: Float[np.ndarray, "groups conditions"]
    between: Float[np.ndarray, "groups conditions conditions"]
    gain: Float[np.ndarray, "groups conditions"]
    mean: Float[np.ndarray, " conditions"]
    worst: Float[np.ndarray, " conditions"]
    worst_low: Float[np.ndarray, " conditions"]
    worst_high: Float[np.ndarray, " conditions"]
    diagonals: tuple[Diagonal, ...]
    n_prompts: int
    n_samples: int
    level: float

    @property
    def worst_group(self) -> tuple[str, ...]:
        """The group that has least under each condition (the first of equals)."""
        return tuple(self.groups[k] for k in np.argmin(self.win_rate, axis=0))

    @property
    def gainers(self) -> Bool[np.ndarray, "groups conditions"]:
        """Which groups are served better than by the reference: their interval is above one half."""
        return self.low > 0.5

    @property
    def losers(self) -> Bool[np.ndarray, "groups conditions"]:
        """Which groups are served worse than by the reference: their interval is below one half."""
        return self.high < 0.5

    def columns(self, method: str) -> Int[np.ndarray, " conditions"]:
        """Places of the conditions of a method.

        Raises
        ------
        UsageError
            If there is no such method.
        """
        found = np.flatnonzero([name == method for name in self.methods])
        if not len(found):
            raise UsageError(
                f"There is no method {method!r}.", fix=f"Methods are {', '.join(sorted(set(self.methods)))}."
            )
        return found

    def diagonal(self, method: str) -> Diagonal:
        """The test of a method.

        Raises
        ------
        UsageError
            If it did not make a condition for every group.
        """
        found = next((test for test in self.diagonals if test.method == method), None)
        if found is None:
            names = ", ".join(test.method for test in self.diagonals) or "none"
            raise UsageError(f"{method!r} made no condition for every group.", fix=f"Methods with a diagonal: {names}.")
        return found

    def to_frame(self) -> pa.Table:
        """One row a group and condition: `condition, method, made_for, group, win_rate, low, high, gain`."""
        import pyarrow as pa

        k, n = self.win_rate.shape
        names = [None if g < 0 else self.groups[g] for g in self.made_for]
        columns: dict[str, Any] = {
            "condition": np.repeat(self.conditions, k),
            "method": np.repeat(self.methods, k),
            "made_for": pa.array([name for name in names for _ in range(k)], pa.string()),
            "group": np.tile(self.groups, n),
            "win_rate": self.win_rate.T.ravel(),
            "low": self.low.T.ravel(),
            "high": self.high.T.ravel(),
            "gain": self.gain.T.ravel(),
        }
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, with `worst_group`, `gainers` and `losers`."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        document |= {name: getattr(self, name) for name in ("worst_group", "gainers", "losers")}
        return json_ready(document | {"diagonals": [test.to_dict() for test in self.diagonals]})

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        columns: dict[str, list[Any]] = {"condition": list(self.conditions)}
        columns |= {name: self.win_rate[g].tolist() for g, name in enumerate(self.groups)}
        columns |= {"all": self.mean.tolist(), "worst": self.worst.tolist()}
        head = f"CrossScores: win rates against the reference, {self.n_prompts:,} prompts, {self.n_samples:,} each"
        tests = [
            f"{test.method}: own over others {test.statistic:+.3f} ({test.interval[0]:+.3f} to {test.interval[1]:+.3f})"
            f", p {test.p:.2g}, of the groups at most {test.group_p.max():.2g}"
            for test in self.diagonals
        ]
        return "\n".join([head, format_table(columns, 3), *tests])


def cross_scores(
    rewards: Float[np.ndarray, "groups conditions prompts samples"],
    reference: Float[np.ndarray, "groups prompts reference_samples"],
    *,
    groups: Sequence[str],
    conditions: Sequence[str],
    methods: Sequence[str] | None = None,
    made_for: Mapping[str, str] | None = None,
    shares: Sequence[float] | Float[np.ndarray, " groups"] | None = None,
    bootstrap: int = 2000,
    level: float = 0.95,
    rng: RNG = 0,
) -> CrossScores:
    """Compare what conditions bring each group, by the rewards of judges that none of them was optimised for.

    Parameters
    ----------
    rewards : array of shape (groups, conditions, prompts, samples)
        By the judge of each group; only their order within a prompt and group counts, but for `gain`.
    reference : array of shape (groups, prompts, reference samples)
        Of responses of the unconditioned model.
    groups, conditions : sequence of str
        Names.
    methods : sequence of str, optional
        The method of each condition; left out, what stands before the last "/" of its name.
    made_for : mapping of str to str, optional
        From a condition to the group that it was made for; left out, what stands after the last "/", where that is a
        group.
    shares : array of shape (groups,), optional
        How large each group is; left out, all are equally large.
    bootstrap : int
        Draws over prompts for intervals; 0 leaves them out (NaN).
    level : float
        Of the intervals.
    rng : int, Generator or None

    Raises
    ------
    DataError
        If arrays and names do not fit, or a reward is NaN or infinite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rewards = rng.normal(size=(2, 2, 40, 4))
    >>> rewards[[0, 1], [0, 1]] += 1.0
    >>> found = cross_scores(
    ...     rewards, rng.normal(size=(2, 40, 4)), groups=["a", "b"], conditions=["tuned/a", "tuned/b"]
    ... )
    >>> bool(found.diagonal("tuned").group_p.max() < 0.01)
    True
    """
    values, plain = np.asarray(rewards, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    k, n = len(groups), len(conditions)
    _check(values, plain, k, n, level)
    if len(set(groups)) != k or len(set(conditions)) != n:
        raise DataError("Two groups or two conditions have the same name.", fix="Give each a name of its own.")
    split = [name.rpartition("/") for name in conditions]
    of = [method or name for method, _, name in split] if methods is None else list(methods)
    target = {name: last for name, (_, slash, last) in zip(conditions, split, strict=True) if slash and last in groups}
    place = {name: g for g, name in enumerate(groups)}
    goal = target if made_for is None else made_for
    if len(of) != n or any(name not in place for name in goal.values()):
        raise DataError("Methods or groups do not fit the conditions.", fix="Give a method for each, and known groups.")
    whose = np.array([place[goal[name]] if name in goal else -1 for name in conditions], dtype=np.int64)
    weight = np.ones(k) if shares is None else np.asarray(shares, dtype=np.float64)
    if weight.shape != (k,) or not (np.isfinite(weight).all() and weight.min() >= 0 and weight.any()):
        raise DataError(f"shares are {k} numbers of at least 0, not all 0.", fix="Give one for each group.")
    weight = weight / weight.sum()

    n_prompts, n_samples = values.shape[2:]
    points = _points(values, plain[:, None])
    won = points / (2 * n_samples * plain.shape[2])
    between = np.stack(
        [_points(values[:, [c]], values).mean(axis=2) / (2 * n_samples * n_samples) for c in range(n)], axis=1
    )
    rate = won.mean(axis=2)
    draws = _draws(won, bootstrap, as_generator(rng, "cross_scores"))
    bounds = _bounds(draws, level)
    worst_bounds = _bounds(draws.min(axis=1), level)
    diagonals = tuple(
        _diagonal(method, own, points, rate, draws, level, rng)
        for method in dict.fromkeys(of)
        if (own := _own(method, of, whose, k)) is not None
    )
    return CrossScores(
        groups=tuple(groups),
        conditions=tuple(conditions),
        methods=tuple(of),
        made_for=whose,
        shares=weight,
        win_rate=rate,
        low=bounds[0],
        high=bounds[1],
        between=between,
        gain=values.mean(axis=(2, 3)) - plain.mean(axis=(1, 2))[:, None],
        mean=weight @ rate,
        worst=rate.min(axis=0),
        worst_low=worst_bounds[0],
        worst_high=worst_bounds[1],
        diagonals=diagonals,
        n_prompts=n_prompts,
        n_samples=n_samples,
        level=level,
    )


def _check(values: np.ndarray, plain: np.ndarray, k: int, n: int, level: float) -> None:
    fits = (
        values.ndim == 4 and plain.ndim == 3 and values.shape[:2] == (k, n) and 0 not in (*values.shape, *plain.shape)
    )
    if not fits or plain.shape[:2] != (k, values.shape[2]):
        raise DataError(
            f"Rewards of shapes {values.shape} and {plain.shape} do not fit {k} groups and {n} conditions.",
            fix="Give shapes (groups, conditions, prompts, samples), and (groups, prompts, samples) of the reference.",
        )
    if not (np.isfinite(values).all() and np.isfinite(plain).all()):
        raise DataError("A reward is NaN or infinite.", fix="Score every response, or leave the prompt out.")
    if not 0 < level < 1:
        raise UsageError(f"level={level!r} is not possible.", fix="It is between 0 and 1, such as 0.95.")


def _points(ours: np.ndarray, theirs: np.ndarray) -> Int[np.ndarray, "groups conditions prompts"]:
    """Two for every pair of a response of ours and one of theirs in which ours is better, one for a tie."""
    a, b = np.broadcast_arrays(ours[..., :, None], theirs[..., None, :])
    return np.sum(np.where(a > b, 2, np.where(a == b, 1, 0)), axis=(-2, -1))


def _draws(
    won: Float[np.ndarray, "groups conditions prompts"], draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "draws groups conditions"]:
    n_prompts = won.shape[2]
    if draws < 1 or n_prompts < 2:
        return np.full((1, *won.shape[:2]), np.nan)
    blocks = [np.einsum("dx,gcx->dgc", counts, won) / n_prompts for counts in resample_users(n_prompts, draws, rng)]
    return np.concatenate(blocks)


def _bounds(draws: np.ndarray, level: float) -> np.ndarray:
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)


def _own(method: str, of: Sequence[str], whose: np.ndarray, k: int) -> Int[np.ndarray, " groups"] | None:
    """Where the method's condition for each group stands; None unless it has exactly one for each of two or more."""
    places = [c for c, name in enumerate(of) if name == method and whose[c] >= 0]
    if k < 2 or sorted(whose[places]) != list(range(k)):
        return None
    return np.array(sorted(places, key=lambda c: whose[c]), dtype=np.int64)


def _diagonal(
    method: str,
    own: Int[np.ndarray, " groups"],
    points: Int[np.ndarray, "groups conditions prompts"],
    rate: Float[np.ndarray, "groups conditions"],
    draws: Float[np.ndarray, "draws groups conditions"],
    level: float,
    rng: RNG,
) -> Diagonal:
    k = len(own)

    def excess(table: np.ndarray) -> np.ndarray:
        square = table[..., own]
        diagonal = np.diagonal(square, axis1=-2, axis2=-1)
        return diagonal - (square.sum(axis=-1) - diagonal) / (k - 1)

    test = label_permutation(points[:, own], rng=rng)
    drawn = excess(draws)
    together = _bounds(drawn.mean(axis=1), level)
    return Diagonal(
        method,
        float(excess(rate).mean()),
        (float(together[0]), float(together[1])),
        test.p,
        excess(rate),
        _bounds(drawn, level).T,
        test.p_groups,
        test.exact,
    )
