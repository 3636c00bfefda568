"""Ratings: who gave which item which value, perhaps on several attributes, as immutable columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int32

from pluralism.data.arrays import Column, as_indices, code_vector, finite_vector, frozen, refuse_rows
from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.data.labels import distinct_labels, encode_labels, string_column
from pluralism.data.optional_columns import label_pair, time_vector, weight_vector
from pluralism.data.report import DataReport
from pluralism.data.validate import Fault
from pluralism.errors import DataError, UsageError
from pluralism.random import RNG

__all__ = ["Ratings"]

Scale = tuple[float, float] | Mapping[str, tuple[float, float]]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Ratings:
    """Immutable ratings, one a row.

    Parameters
    ----------
    items : Items
        What is rated.
    users : LargeStringArray
        Distinct labels of those who rate.
    user, item : ndarray of int, shape (ratings,)
        Codes of the user and the item.
    value : ndarray of shape (ratings,)
        The finite value given; higher is more or better.
    attribute, attributes : ndarray of int, shape (ratings,), and labels, optional
        What is rated of the item. Left out, all rows rate the one attribute "rating".
    weight : ndarray of shape (ratings,), optional
        Finite, not negative; left out, every row counts once.
    group, groups : ndarray of int, shape (ratings,), and labels, optional
        A known group of each row's user (or -1).
    time : ndarray of shape (ratings,), optional
        float64 or datetime64 (UTC); NaN or NaT where unknown.
    scale : (low, high), or mapping of attribute to (low, high), optional
        The lowest and the highest value that could be given; values outside are refused.
    faults : tuple of Fault
        What was wrong with the rows that were left out when the data were read with ``strict=False``.

    Examples
    --------
    >>> votes = Ratings.from_frame({"user": ["ann"] * 3, "item": ["tea", "milk", "gin"], "value": [1, 1, -1]})
    >>> votes
    Ratings(3 ratings by 1 user of 3 items)
    >>> votes.to_comparisons()
    Comparisons(3 judgements by 1 user of 3 items, 1 tie, made of ratings, not embedded)
    """

    items: Items
    users: pa.LargeStringArray
    user: Int32[np.ndarray, " ratings"]
    item: Int32[np.ndarray, " ratings"]
    value: Float64[np.ndarray, " ratings"]
    attribute: Int32[np.ndarray, " ratings"]
    attributes: pa.LargeStringArray
    weight: Float64[np.ndarray, " ratings"]
    group: Int32[np.ndarray, " ratings"] | None
    groups: pa.LargeStringArray | None
    time: np.ndarray | None
    scale: Mapping[str, tuple[float, float]]
    faults: tuple[Fault, ...]

    def __init__(
        self,
        items: Items,
        users: Column,
        user: Column,
        item: Column,
        value: Column,
        attribute: Column | None = None,
        attributes: Column | None = None,
        weight: Column | None = None,
        group: Column | None = None,
        groups: Column | None = None,
        time: Column | None = None,
        scale: Scale | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        n = len(user)
        labels = distinct_labels(users, "users")
        if attributes is None:
            names = ["rating"] * n if attribute is None else attribute
            attribute, attributes = encode_labels(string_column(names, "attribute"))
            attributes = pa.array(["rating"], pa.large_string()) if len(attributes) == 0 else attributes
        rated = distinct_labels(attributes, "attributes")
        group_codes, group_labels = label_pair(group, groups, "group", n)
        columns: dict[str, Any] = {
            "items": items,
            "users": labels,
            "user": code_vector(user, "user", n, len(labels)),
            "item": code_vector(item, "item", n, len(items)),
            "value": finite_vector(value, "value", n),
            "attribute": code_vector(
                np.zeros(n, np.int32) if attribute is None else attribute, "attribute", n, len(rated)
            ),
            "attributes": rated,
            "weight": weight_vector(weight, n),
            "group": group_codes,
            "groups": group_labels,
            "time": None if time is None else time_vector(time, n),
            "scale": scale_of(scale, rated.to_pylist()),
            "faults": tuple(faults),
        }
        low, high = scale_bounds(columns["scale"], rated.to_pylist())
        outside = (columns["value"] < low[columns["attribute"]]) | (columns["value"] > high[columns["attribute"]])
        refuse_rows(outside, "A value is outside its scale", "Correct the values or the scale.")
        self.__dict__.update(columns)

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        items: str | Path | Items | None = None,
        features: str | Path | np.ndarray | None = None,
        columns: Mapping[str, str] | None = None,
        texts: bool | None = None,
        scale: Scale | None = None,
        strict: bool = True,
    ) -> Ratings:
        """Read ratings from a file with the columns of `pluralism.data.rating_columns`.

        Parameters
        ----------
        path : str or Path
            Parquet, CSV or TSV, JSON lines (perhaps gzipped), Arrow or Feather, by suffix.
        items, features, columns, texts, strict
            As in `Comparisons.read`.
        scale : (low, high), or mapping of attribute to (low, high), optional
            The lowest and the highest value that could be given.

        Raises
        ------
        DataError
            Naming file, row and column of what is wrong, and how to mend it.
        """
        from pluralism.data.files_io import read_source
        from pluralism.data.item_columns import resolve_items
        from pluralism.data.rating_columns import ratings_from_source

        known = resolve_items(items, features)
        return ratings_from_source(
            read_source(path), items=known, columns=columns, texts=texts, scale=scale, strict=strict
        )

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        items: str | Path | Items | None = None,
        features: str | Path | np.ndarray | None = None,
        columns: Mapping[str, str] | None = None,
        texts: bool | None = None,
        scale: Scale | None = None,
        strict: bool = True,
    ) -> Ratings:
        """Build ratings from a frame; columns and parameters as in `read`."""
        from pluralism.data.frames import frame_source
        from pluralism.data.item_columns import resolve_items
        from pluralism.data.rating_columns import ratings_from_source

        known = resolve_items(items, features)
        return ratings_from_source(
            frame_source(frame), items=known, columns=columns, texts=texts, scale=scale, strict=strict
        )

    @classmethod
    def from_polis(cls, directory: str | Path, *, rejected: bool = True, strict: bool = True) -> Ratings:
        """Read the export of a Polis conversation; see `pluralism.data.polis.read_polis`."""
        from pluralism.data.polis import read_polis

        return read_polis(directory, rejected=rejected, strict=strict)

    def to_comparisons(
        self,
        within: Literal["user", "prompt"] = "user",
        *,
        attribute: str | None = None,
        max_pairs_per_user: int | None = None,
        rng: RNG = 0,
    ) -> Comparisons:
        """Compare any two items that one user rated on one attribute.

        The item with the higher value is preferred, equal values are ties, and `strength` is the difference. Which
        item is left is drawn at random. The weight of a pair is the geometric mean of the two weights, its time the
        later one. A user with c ratings gives c (c - 1) / 2 dependent pairs: the origin "ratings" tells models so.

        Parameters
        ----------
        within : {"user", "prompt"}
            Whether a user's items are all comparable, or only those that share a prompt.
        attribute : str, optional
            Which attribute to compare by; may be left out if there is only one.
        max_pairs_per_user : int, optional
            Draw this many of a user's pairs (or of a user's pairs of one prompt) at random where there are more.
        rng : int, Generator or None
        """
        from pluralism.data.rating_columns import comparisons_from_ratings

        return comparisons_from_ratings(self, within, attribute, max_pairs_per_user, rng)

    def to_votes(
        self,
        *,
        attribute: str | None = None,
        threshold: float | None = None,
        undecided: Literal["tie", "drop"] = "tie",
    ) -> Comparisons:
        """Compare each rated item with a threshold: a rating above it prefers the item, one below it the threshold.

        The threshold is one more item, with the id "(threshold)", the mean of all features and the covariate
        `threshold`, by which models carry how strict people are: `covariates=("threshold",)`.

        Parameters
        ----------
        attribute : str, optional
            Which attribute; may be left out if there is only one.
        threshold : float, optional
            Where values part; the middle of the scale, or of the values given, by default.
        undecided : {"tie", "drop"}
            What becomes of values at the threshold, such as passes.
        """
        from pluralism.data.votes import votes_from_ratings

        return votes_from_ratings(self, attribute=attribute, threshold=threshold, undecided=undecided)

    def to_arrow(self, *, as_ids: bool | None = None) -> pa.Table:
        """Table in the layout that `read` takes; `as_ids` as in `Comparisons.to_arrow`."""
        from pluralism.data.rating_columns import ratings_table

        return ratings_table(self, as_ids)

    def write(self, path: str | Path, *, as_ids: bool | None = None) -> None:
        """Write the table of `to_arrow` to a file, in the format of its suffix, whole or not at all."""
        from pluralism.data.files_io import write_table

        write_table(self.to_arrow(as_ids=as_ids), path)

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        n, users, items = len(self), len(self.users), len(self.items)
        parts = [
            f"{n:,} rating{'s' * (n != 1)} by {users:,} user{'s' * (users != 1)} of {items:,} item{'s' * (items != 1)}",
            *([f"attributes {', '.join(self.attributes.to_pylist())}"] if len(self.attributes) > 1 else []),
            *([f"{len(self.groups):,} known groups"] if self.groups is not None else []),
            *([f"{self.items.dim} features ({self.items.feature_space})"] if self.items.features is not None else []),
        ]
        return f"Ratings({', '.join(parts)})"

    @property
    def n_users(self) -> int:
        """Number of users, with or without rows."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items, with or without rows."""
        return len(self.items)

    def take(self, index: Column | slice) -> Ratings:
        """Rows of a mask, a slice or indices; all users and items stay."""
        rows = as_indices(index, len(self))
        names = ("user", "item", "value", "attribute", "weight", "group", "time")
        return self._replace(
            **{name: frozen(getattr(self, name)[rows]) for name in names if getattr(self, name) is not None}
        )

    def of_attribute(self, name: str) -> Ratings:
        """The rows that rate one attribute."""
        names = self.attributes.to_pylist()
        if name not in names:
            raise UsageError(f"There is no attribute {name!r}.", fix=f"Choose one of {names}.")
        return self.take(self.attribute == names.index(name))

    def on_one_attribute(self, name: str | None = None) -> Ratings:
        """The rows that rate one attribute, which may be left unnamed if there is only one.

        Raises
        ------
        UsageError
            If there are several and none is named, or there is none of that name.
        """
        if name is not None:
            return self.of_attribute(name)
        if len(self.attributes) > 1:
            raise UsageError(
                "The ratings are about several attributes.",
                fix=f"Choose one with attribute=...: {self.attributes.to_pylist()}.",
            )
        return self

    def embed(self, encoder: Any = "minilm", *, cache: Any = None, progress: bool = False, **options: Any) -> Ratings:
        """Encode each item's text once with a frozen encoder; see `Items.embed`."""
        return self._replace(items=self.items.embed(encoder, cache=cache, progress=progress, **options))

    def with_features(self, features: np.ndarray, space: str = "user") -> Ratings:
        """Attach one row of features for each item; see `Items.with_features`."""
        return self._replace(items=self.items.with_features(features, space))

    def check(self) -> DataReport:
        """Run every data check, and say of each whether it passed."""
        from pluralism.data.check import check_ratings

        return check_ratings(self)

    def split(
        self, test: float = 0.2, by: Literal["vote", "user", "item"] = "vote", rng: RNG = 0
    ) -> tuple[Ratings, Ratings]:
        """Split into a training and a test part without leakage; see `pluralism.data.split.split_ratings`."""
        from pluralism.data.split import split_ratings

        return split_ratings(self, test=test, by=by, rng=rng)

    def _replace(self, **changes: Any) -> Ratings:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__ | changes)
        return new


def scale_of(scale: Scale | None, attributes: list[str]) -> dict[str, tuple[float, float]]:
    """Scale of each attribute that has one."""
    if scale is None:
        return {}
    scales = dict(scale) if isinstance(scale, Mapping) else dict.fromkeys(attributes, scale)
    for name, (low, high) in scales.items():
        if name not in attributes:
            raise UsageError(f"There is a scale for {name!r}, which is not rated.", fix=f"Rated are {attributes}.")
        if not low < high:
            raise DataError(f"The scale of {name!r} goes from {low} to {high}.", fix="Pass (lowest, highest).")
    return {name: (float(low), float(high)) for name, (low, high) in scales.items()}


def scale_bounds(
    scale: Mapping[str, tuple[float, float]], attributes: list[str]
) -> tuple[Float64[np.ndarray, " attributes"], Float64[np.ndarray, " attributes"]]:
    """Lowest and highest value of each attribute; infinite without a scale."""
    bounds = [scale.get(name, (-np.inf, np.inf)) for name in attributes]
    return np.array([low for low, _ in bounds], float), np.array([high for _, high in bounds], float)
