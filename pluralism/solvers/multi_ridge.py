"""Ridge regression of several attributes on one feature matrix, with missing labels, by few Gram products.

Rows are cut into blocks of one fold and one pattern of missing labels; each block's Gram matrix is computed once and
added to the attributes that observe it. Where there are too many patterns for that, a fold's Gram matrix is computed
once and that of the rows an attribute lacks taken off. No label is imputed. Cross-validation needs no second pass: a
fold's squared error is a quadratic form in its Gram matrix. The systems of folds, and of attributes that lack other
rows, are near each other, so they share one decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.near_ridge import NearRidge, ridge_by_cholesky
from pluralism.solvers.threads import threads_for_square

__all__ = ["MultiRidge", "fit_multi_ridge", "group_folds"]

BLOCK_ROWS = 16_384
EXPONENTS = np.arange(-4.0, 3.5, 0.5)
ROWS_AN_ADDITION = 8
MOST_BITS = 50
WORTH_SHARING = 4


@dataclass(frozen=True)
class MultiRidge:
    """A fitted multi-attribute ridge: value = features @ coef + intercept.

    Attributes
    ----------
    coef : array of shape (dim, attributes)
    intercept : array of shape (attributes,)
    ridge : array of shape (attributes,)
        Penalty on the squared coefficients beside the weighted sum of squared errors.
    r2 : array of shape (attributes,)
        Cross-validated share of the variance explained at the chosen ridge; NaN where no folds were made.
    tried : array of shape (ridges, attributes + 1)
        Each ridge and the cross-validated mean squared error of the attributes at it; no rows without folds.
    residual_variance : array of shape (attributes,)
        Mean squared error: cross-validated where there are folds, else of the fit.
    """

    coef: Float[np.ndarray, "dim attributes"]
    intercept: Float[np.ndarray, " attributes"]
    ridge: Float[np.ndarray, " attributes"]
    r2: Float[np.ndarray, " attributes"]
    tried: Float[np.ndarray, "ridges columns"]
    residual_variance: Float[np.ndarray, " attributes"]


def group_folds(
    group: Int[np.ndarray, " rows"], n_folds: int, rng: np.random.Generator
) -> Int[np.ndarray, " rows"] | None:
    """A fold for each row such that a group is in one fold alone; None where there are fewer groups than two folds.

    Groups are dealt out from the largest to the smallest.
    """
    _, code, size = np.unique(group, return_inverse=True, return_counts=True)
    n_folds = min(n_folds, len(size))
    if n_folds < 2:
        return None
    order = np.lexsort((rng.random(len(size)), -size))
    lap, seat = np.divmod(np.arange(len(size)), n_folds)
    fold = np.empty(len(size), np.int64)
    fold[order] = np.where(lap % 2 == 0, seat, n_folds - 1 - seat)
    return fold[code]


def fit_multi_ridge(
    features: FeatureMatrix,
    labels: Float[np.ndarray, "rows attributes"],
    *,
    item: Int[np.ndarray, " rows"] | None = None,
    weight: Float[np.ndarray, " rows"] | None = None,
    fold: Int[np.ndarray, " rows"] | None = None,
    ridge: float | None = None,
) -> MultiRidge:
    """Minimise, for each attribute, the weighted squared error over its labelled rows plus ridge times |coef|^2.

    Parameters
    ----------
    features : FeatureMatrix
    labels : array of shape (rows, attributes)
        NaN where an attribute was not rated; each attribute needs a label.
    item : int array of shape (rows,), optional
        Row of the features behind each row; left out, they are the same.
    weight : array of shape (rows,), optional
        Not negative.
    fold : int array of shape (rows,), optional
        Folds by which each attribute's ridge is chosen, in half decades around a hundredth of the trace of the
        centred Gram matrix. The final fit is on all rows.
    ridge : float, optional
        The same ridge for all attributes; needed without folds.
    """
    moments = _Moments(features, labels, item, weight, fold)
    scale = max(float(np.mean(moments.total_trace())), 1e-300)
    chosen = np.full(labels.shape[1], 0.0 if ridge is None else float(ridge))
    variance = moments.variance()
    tried = np.zeros((0, labels.shape[1] + 1))
    error = np.full(labels.shape[1], np.nan)
    with threads_for_square(features.dim):
        if fold is not None:
            grid = 10.0**EXPONENTS * scale if ridge is None else np.array([float(ridge)])
            losses = moments.cross_validate(grid)
            tried = np.column_stack([grid, losses])
            best = np.argmin(losses, axis=0)
            chosen, error = grid[best], losses[best, np.arange(labels.shape[1])]
        coef, intercept, fitted_error = moments.solve(chosen)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(variance > 0, 1.0 - error / variance, np.nan)
    return MultiRidge(coef, intercept, chosen, r2, tried, np.where(np.isnan(error), fitted_error, error))


def _distinct_columns(
    seen: Bool[np.ndarray, "rows attributes"],
) -> tuple[Bool[np.ndarray, "rows classes"], Int[np.ndarray, " attributes"]]:
    """The distinct columns, and which of them each column is."""
    distinct: list[np.ndarray] = []
    of_class = np.empty(seen.shape[1], np.int64)
    for k, column in enumerate(seen.T):
        same = (c for c, other in enumerate(distinct) if np.array_equal(column, other))
        of_class[k] = next(same, len(distinct))
        if of_class[k] == len(distinct):
            distinct.append(np.ascontiguousarray(column))
    return np.stack(distinct, axis=1), of_class


@dataclass(frozen=True)
class _Task:
    """Rows of one fold whose Gram matrix is added to (or taken off) some classes; `first`: their labels count too."""

    rows: Int[np.ndarray, " rows"]
    fold: int
    classes: list[int]
    sign: int
    first: bool


def _tasks(masks: Bool[np.ndarray, "rows classes"], fold: Int[np.ndarray, " rows"], n_folds: int) -> list[_Task]:
    """The cheaper of two ways to every class's Gram matrix in every fold.

    By patterns: each row is multiplied once, and each pattern's matrix is added to its classes. By complements: the
    matrix of the whole fold, less that of the rows that a class lacks (or, if those are most, of its rows alone).
    """
    n_classes = masks.shape[1]
    if n_classes <= MOST_BITS:
        code = masks @ (1 << np.arange(n_classes, dtype=np.int64))
    else:
        code = np.unique(masks, axis=0, return_inverse=True)[1].ravel()
    key = code * n_folds + fold
    order = np.argsort(key, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(key[order])) + 1) if len(order) else []
    lacking = (~masks).sum(axis=0)
    others = int(np.minimum(lacking, len(masks) - lacking).sum())
    if len(blocks) * n_classes * ROWS_AN_ADDITION <= others or n_classes == 1:
        return [_Task(rows, int(fold[rows[0]]), np.flatnonzero(masks[rows[0]]).tolist(), 1, True) for rows in blocks]
    few = [c for c in range(n_classes) if 2 * lacking[c] <= len(masks)]
    tasks = []
    for f in range(n_folds):
        here = np.flatnonzero(fold == f)
        tasks.append(_Task(here, f, few, 1, True))
        for c in range(n_classes):
            rows = here[masks[here, c] != (c in few)]
            tasks.append(_Task(rows, f, [c], -1 if c in few else 1, False))
    return tasks


class _Moments:
    """Weighted sums of every fold and class of attributes (those rated on the same rows)."""

    def __init__(
        self,
        features: FeatureMatrix,
        labels: Float[np.ndarray, "rows attributes"],
        item: Int[np.ndarray, " rows"] | None,
        weight: Float[np.ndarray, " rows"] | None,
        fold: Int[np.ndarray, " rows"] | None,
    ) -> None:
        seen: Bool[np.ndarray, "rows attributes"] = ~np.isnan(labels)
        masks, self.of_class = _distinct_columns(seen)
        n_classes, dim, k = masks.shape[1], features.dim, labels.shape[1]
        n_folds = 1 if fold is None else int(fold.max()) + 1
        self.gram = np.zeros((n_folds, n_classes, dim, dim), features.compute_dtype)
        self.sum_x = np.zeros((n_folds, n_classes, dim))
        self.mass = np.zeros((n_folds, n_classes))
        self.xy = np.zeros((n_folds, dim, k))
        self.sum_y = np.zeros((n_folds, k))
        self.sum_yy = np.zeros((n_folds, k))
        # the sums are taken about a point in the middle, so that single precision loses nothing to a far-off mean
        rows = np.arange(len(labels))
        sample = rows[:: max(1, len(rows) // 2048)]
        self.centre = features.rows(sample if item is None else item[sample]).mean(axis=0, dtype=np.float64)
        centre = self.centre.astype(features.compute_dtype)
        buffer = np.empty((min(BLOCK_ROWS, max(len(rows), 1)), dim), features.compute_dtype)
        for task in _tasks(masks, np.zeros(len(rows), np.int64) if fold is None else fold, n_folds):
            f = task.fold
            for at in range(0, len(task.rows), BLOCK_ROWS):
                part = task.rows[at : at + BLOCK_ROWS]
                x = buffer[: len(part)]
                index = part if item is None else item[part]
                if features.array.dtype == x.dtype and isinstance(features.array, np.ndarray):
                    np.take(features.array, index, axis=0, out=x, mode="clip")
                else:
                    x[...] = features.array[index]
                x -= centre
                w = np.ones(len(part)) if weight is None else weight[part]
                values = w[None, :]
                if task.first:
                    y = np.where(seen[part], labels[part], 0.0)
                    wy = w[:, None] * y
                    self.sum_y[f] += wy.sum(axis=0)
                    self.sum_yy[f] += np.sum(wy * y, axis=0)
                    values = np.concatenate([values, wy.T])
                # a few long rows times the block: the other way round is many times slower
                sums = np.ascontiguousarray(values, dtype=x.dtype) @ x
                sum_x = sums[0]
                if task.first:
                    self.xy[f] += sums[1:].T
                if weight is not None:
                    x *= np.sqrt(w)[:, None].astype(x.dtype)
                gram = x.T @ x
                for c in task.classes:
                    self.gram[f, c] += task.sign * gram
                    self.sum_x[f, c] += task.sign * sum_x
                    self.mass[f, c] += task.sign * w.sum()

    def total_trace(self) -> Float[np.ndarray, " classes"]:
        """A hundredth of the trace of each class's centred Gram matrix, over the dimensions."""
        trace = np.einsum("fcii->c", self.gram).astype(float)
        centred = trace - np.sum(self.sum_x.sum(0) ** 2, axis=1) / np.maximum(self.mass.sum(0), 1e-300)
        return 0.01 * centred

    def variance(self) -> Float[np.ndarray, " attributes"]:
        """Weighted variance of each attribute's labels."""
        mass = np.maximum(self.mass.sum(0)[self.of_class], 1e-300)
        return self.sum_yy.sum(0) / mass - (self.sum_y.sum(0) / mass) ** 2

    def cross_validate(self, grid: Float[np.ndarray, " ridges"]) -> Float[np.ndarray, "ridges attributes"]:
        """Mean squared error of held-out folds at each ridge."""
        n_folds, n_classes, dim, _ = self.gram.shape
        total = self.gram.sum(axis=0)
        loss = np.zeros((len(grid), self.xy.shape[2]))
        mass = np.zeros(self.xy.shape[2])
        xy, sum_y = self.xy.sum(0), self.sum_y.sum(0)
        near = None
        if n_folds * n_classes >= WORTH_SHARING:
            c = int(np.argmax(self.mass.sum(axis=0)))
            sums = self.sum_x[:, c].sum(0)
            centred = total[c].astype(np.float64) - np.outer(sums, sums) / max(float(self.mass[:, c].sum()), 1e-300)
            near = NearRidge(centred)
        for f in range(n_folds):
            for c in range(n_classes):
                k = np.flatnonzero(self.of_class == c)
                n_train, n_held = self.mass[:, c].sum() - self.mass[f, c], self.mass[f, c]
                if n_held <= 0 or n_train <= 0:
                    continue
                mean_x = (self.sum_x[:, c].sum(0) - self.sum_x[f, c]) / n_train
                mean_y = (sum_y[k] - self.sum_y[f, k]) / n_train
                train = (total[c] - self.gram[f, c]).astype(np.float64) - n_train * np.outer(mean_x, mean_x)
                b = xy[:, k] - self.xy[f][:, k] - n_train * np.outer(mean_x, mean_y)
                ridges = np.maximum(grid, 1e-7 * float(np.trace(train)) / dim + 1e-300)
                if near is None:
                    coef = np.stack([ridge_by_cholesky(train, b, float(value)) for value in ridges], axis=1)
                else:
                    coef = near.solve(train, b, ridges)
                # held-out sums about the training means
                held_x, held_y = self.sum_x[f, c], self.sum_y[f, k]
                across = np.outer(held_x, mean_x)
                gram = self.gram[f, c] - across - across.T + n_held * np.outer(mean_x, mean_x)
                cross = self.xy[f][:, k] - np.outer(held_x, mean_y) - np.outer(mean_x, held_y)
                cross += n_held * np.outer(mean_x, mean_y)
                square = self.sum_yy[f, k] - 2 * mean_y * held_y + n_held * mean_y**2
                flat = coef.reshape(dim, -1)
                quadratic = np.sum(flat * (gram @ flat), axis=0).reshape(len(grid), len(k))
                loss[:, k] += square - 2 * np.sum(coef * cross[:, None, :], axis=0) + quadratic
                mass[k] += n_held
        return loss / np.maximum(mass, 1e-300)

    def solve(self, ridge: Float[np.ndarray, " attributes"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients, intercepts and mean squared errors on all rows."""
        dim, n_attributes = self.xy.shape[1:]
        coef, intercept, error = np.zeros((dim, n_attributes)), np.zeros(n_attributes), np.zeros(n_attributes)
        xy, sum_y, sum_yy = self.xy.sum(0), self.sum_y.sum(0), self.sum_yy.sum(0)
        for c in range(self.gram.shape[1]):
            mass = self.mass[:, c].sum()
            if mass == 0:
                continue
            mean_x = self.sum_x[:, c].sum(0) / mass
            gram = self.gram[:, c].sum(0).astype(np.float64) - mass * np.outer(mean_x, mean_x)
            for value in np.unique(ridge[self.of_class == c]):
                k = np.flatnonzero((self.of_class == c) & (ridge == value))
                mean_y = sum_y[k] / mass
                b = xy[:, k] - mass * np.outer(mean_x, mean_y)
                coef[:, k] = ridge_by_cholesky(gram, b, max(float(value), 1e-12 * float(np.trace(gram)) / dim + 1e-300))
                intercept[k] = mean_y - (mean_x + self.centre) @ coef[:, k]
                square = sum_yy[k] - mass * mean_y**2
                fitted = square - 2 * np.sum(coef[:, k] * b, axis=0) + np.sum(coef[:, k] * (gram @ coef[:, k]), axis=0)
                error[k] = np.maximum(fitted, 0.0) / mass
        return coef, intercept, error
