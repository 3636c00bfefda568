"""Comparisons: who preferred which of two items, as immutable columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int32

from pluralism.data.arrays import Column, as_indices, code_vector, finite_vector, frozen, refuse_rows
from pluralism.data.comparison_views import covariate_differences, described
from pluralism.data.files_io import read_source, write_table
from pluralism.data.frames import frame_source
from pluralism.data.item_columns import resolve_items
from pluralism.data.items import Items
from pluralism.data.labels import distinct_labels
from pluralism.data.optional_columns import label_pair, strength_vector, time_vector, weight_vector
from pluralism.data.pair_codes import pair_codes, user_codes
from pluralism.data.report import DataReport
from pluralism.data.validate import Fault
from pluralism.errors import DataError, UsageError
from pluralism.random import RNG

if TYPE_CHECKING:
    import datasets

__all__ = ["Comparisons"]

Origin = Literal["comparisons", "ratings", "rankings", "votes"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Comparisons:
    """Immutable pairwise judgements, one a row.

    Parameters
    ----------
    items : Items
        What is compared.
    users : LargeStringArray
        Distinct labels of those who judge; some may have no row.
    user, left, right : ndarray of int, shape (pairs,)
        Codes of the user and of the two items, which differ in every row.
    outcome : ndarray of shape (pairs,)
        Probability mass on the left item, in [0, 1]: 1 left preferred, 0 right preferred, 0.5 a tie. Values
        between are graded judgements.
    weight : ndarray of shape (pairs,)
        Finite, not negative: how many times the row counts (1 if left out).
    group, groups : ndarray of int, shape (pairs,), and labels, optional
        A known group of each row's user (or -1), for reports by group; models never see it.
    time : ndarray of shape (pairs,), optional
        float64 or datetime64 (UTC); NaN or NaT where unknown. Need not be sorted.
    source, sources : ndarray of int, shape (pairs,), and labels, optional
        Where a row comes from (or -1).
    strength : ndarray of shape (pairs,), optional
        How much better the preferred item is, not negative; NaN where unknown.
    covariates : mapping of str to (left, right), each ndarray of shape (pairs,)
        Numbers that describe either side as it was shown in that row.
    origin : {"comparisons", "ratings", "rankings", "votes"}
        How the rows came about. Rows made of one rating or ballot depend on each other: models hold out whole votes.
    faults : tuple of Fault
        What was wrong with the rows that were left out when the data were read with ``strict=False``.

    Examples
    --------
    >>> data = Comparisons.from_arrays(
    ...     left=["tea", "tea", "water"], right=["coffee", "water", "coffee"], user=["ann", "ann", "bob"],
    ...     outcome=[1, 0.5, 0],
    ... )
    >>> data
    Comparisons(3 judgements by 2 users of 3 items, 1 tie, not embedded)
    >>> data.take(data.outcome != 0.5).compact()
    Comparisons(2 judgements by 2 users of 3 items, not embedded)
    """

    items: Items
    users: pa.LargeStringArray
    user: Int32[np.ndarray, " pairs"]
    left: Int32[np.ndarray, " pairs"]
    right: Int32[np.ndarray, " pairs"]
    outcome: Float64[np.ndarray, " pairs"]
    weight: Float64[np.ndarray, " pairs"]
    group: Int32[np.ndarray, " pairs"] | None
    groups: pa.LargeStringArray | None
    time: np.ndarray | None
    source: Int32[np.ndarray, " pairs"] | None
    sources: pa.LargeStringArray | None
    strength: Float64[np.ndarray, " pairs"] | None
    covariates: Mapping[str, tuple[Float64[np.ndarray, " pairs"], Float64[np.ndarray, " pairs"]]]
    origin: Origin
    faults: tuple[Fault, ...]

    def __init__(
        self,
        items: Items,
        users: Column,
        user: Column,
        left: Column,
        right: Column,
        outcome: Column,
        weight: Column | None = None,
        group: Column | None = None,
        groups: Column | None = None,
        time: Column | None = None,
        source: Column | None = None,
        sources: Column | None = None,
        strength: Column | None = None,
        covariates: Mapping[str, tuple[Column, Column]] | None = None,
        origin: Origin = "comparisons",
        faults: Sequence[Fault] = (),
    ) -> None:
        n, n_items = len(user), len(items)
        labels = distinct_labels(users, "users")
        if origin not in get_args(Origin):
            raise UsageError(f"Unknown origin {origin!r}.", fix=f"Use one of {', '.join(get_args(Origin))}.")
        group_codes, group_labels = label_pair(group, groups, "group", n)
        source_codes, source_labels = label_pair(source, sources, "source", n)
        columns: dict[str, Any] = {
            "items": items,
            "users": labels,
            "user": code_vector(user, "user", n, len(labels)),
            "left": code_vector(left, "left", n, n_items),
            "right": code_vector(right, "right", n, n_items),
            "outcome": finite_vector(outcome, "outcome", n),
            "weight": weight_vector(weight, n),
            "group": group_codes,
            "groups": group_labels,
            "time": None if time is None else time_vector(time, n),
            "source": source_codes,
            "sources": source_labels,
            "strength": None if strength is None else strength_vector(strength, n),
            "covariates": {
                str(name): (finite_vector(a, f"left.{name}", n), finite_vector(b, f"right.{name}", n))
                for name, (a, b) in (covariates or {}).items()
            },
            "origin": origin,
            "faults": tuple(faults),
        }
        refuse_rows(columns["left"] == columns["right"], "An item is compared with itself", "Remove these rows.")
        mass = columns["outcome"]
        refuse_rows((mass < 0) | (mass > 1), "An outcome is outside [0, 1]", "1 means that left is preferred.")
        self.__dict__.update(columns)

    @classmethod
    def from_arrays(
        cls,
        left: Column,
        right: Column,
        *,
        user: Column | None = None,
        outcome: Column | None = None,
        weight: Column | None = None,
        items: Items | None = None,
        users: Column | None = None,
        group: Column | None = None,
        time: Column | None = None,
        source: Column | None = None,
        strength: Column | None = None,
        covariates: Mapping[str, tuple[Column, Column]] | None = None,
        origin: Origin = "comparisons",
    ) -> Comparisons:
        """Build comparisons from arrays.

        Parameters
        ----------
        left, right : sequence of int or str
            Integers are codes: rows of `items` or, without items, of new items without texts whose ids are the
            codes "0", "1", ... Strings are texts or, with `items`, ids of items.
        user : sequence of int or str, optional
            One label a row or, with `users`, codes into it. Left out, all rows are by one user "all".
        outcome : sequence of float, optional
            Left out, the left item is preferred in every row.
        weight : sequence of float, optional
            Left out, every row counts once.
        items : Items, optional
        users : sequence of labels, optional
        group, source : sequence of labels, optional
            None where unknown.
        time, strength, covariates, origin
            As in the class.
        """
        n = len(left)
        if len(right) != n:
            raise DataError(f"There are {n:,} left but {len(right):,} right items.", fix="Give one pair a row.")
        items, first, second = pair_codes(left, right, items)
        user, users = user_codes(user, users, n)
        return cls(
            items=items,
            users=users,
            user=user,
            left=first,
            right=second,
            outcome=np.ones(n) if outcome is None else outcome,
            weight=weight,
            group=group,
            time=time,
            source=source,
            strength=strength,
            covariates=covariates,
            origin=origin,
        )

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        items: str | Path | Items | None = None,
        features: str | Path | np.ndarray | None = None,
        columns: Mapping[str, str] | None = None,
        user: str | None = None,
        texts: bool | None = None,
        strict: bool = True,
    ) -> Comparisons:
        """Read comparisons from a file; the columns are listed in `pluralism.data.comparison_columns`.

        Parameters
        ----------
        path : str or Path
            Parquet, CSV or TSV, JSON lines (perhaps gzipped), Arrow or Feather, by suffix.
        items : str, Path or Items, optional
            A file with the columns id and text, or items; then `left` and `right` hold their ids.
        features : str, Path or ndarray, optional
            One row for each of the items, in their order; a .npy file is memory-mapped.
        columns : mapping of str to str, optional
            Names of the contract to names in the file, such as ``{"user": "annotator"}``.
        user : str, optional
            The one user who made all judgements, for files without a column `user`.
        texts : bool, optional
            Whether `left` and `right` hold texts (True) or ids of items without texts (False), where no items are
            given. Left out: ids if the columns are numbers or the file was written with ids, else texts.
        strict : bool
            Whether bad rows stop the reading. If False they are left out, with a `DataWarning` that counts them.

        Raises
        ------
        DataError
            Naming file, row and column of what is wrong.
        """
        from pluralism.data.comparison_columns import comparisons_from_source

        source, known = read_source(path), resolve_items(items, features)
        return comparisons_from_source(source, items=known, columns=columns, user=user, texts=texts, strict=strict)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        items: str | Path | Items | None = None,
        features: str | Path | np.ndarray | None = None,
        columns: Mapping[str, str] | None = None,
        user: str | None = None,
        texts: bool | None = None,
        strict: bool = True,
    ) -> Comparisons:
        """Build comparisons from a frame (pandas, polars, pyarrow, a dict of columns, ...); otherwise as `read`.

        Examples
        --------
        >>> frame = {"user": [1, 2], "left": ["tea", "milk"], "right": ["milk", "tea"], "outcome": [1, 0]}
        >>> Comparisons.from_frame(frame)
        Comparisons(2 judgements by 2 users of 2 items, not embedded)
        """
        from pluralism.data.comparison_columns import comparisons_from_source

        source, known = frame_source(frame), resolve_items(items, features)
        return comparisons_from_source(source, items=known, columns=columns, user=user, texts=texts, strict=strict)

    @classmethod
    def from_trl(
        cls,
        dataset: Any,
        *,
        columns: Mapping[str, str] | None = None,
        user: str | None = None,
        strict: bool = True,
    ) -> Comparisons:
        """Read preference data of TRL: chosen and rejected, with explicit or implicit prompts, texts or conversations.

        Parameters
        ----------
        dataset : datasets.Dataset, frame, list of records, str or Path
            A data set, a frame, or a file that holds one; `pluralism.data.trl` says how prompts are found.
        columns, strict
            As in `read`.
        user : str, optional
            The label of the one user who made all judgements. Left out, and without a column `user`, it is "all",
            with a `DataWarning`.
        """
        from pluralism.data.trl import comparisons_from_trl

        source = read_source(dataset) if isinstance(dataset, (str, Path)) else frame_source(dataset)
        return comparisons_from_trl(source, columns=columns, user=user, strict=strict)

    def to_trl(
        self,
        *,
        prompt: Literal["explicit", "implicit"] = "explicit",
        conversational: bool = False,
        ties: Literal["error", "drop"] = "error",
    ) -> datasets.Dataset:
        """Preference data for TRL's trainers, as a Hugging Face data set.

        Parameters
        ----------
        prompt : {"explicit", "implicit"}
            Whether the prompt has a column of its own, or is the beginning of both responses.
        conversational : bool
            Whether to write lists of messages instead of texts.
        ties : {"error", "drop"}
            TRL knows no ties: stop, or leave them out with a `DataWarning` that counts them. Graded outcomes are
            rounded, with the same warning.

        Returns
        -------
        datasets.Dataset
            Columns prompt (if explicit), chosen, rejected, user and, where there are such, weight, group, source,
            time and margin (the strength).
        """
        from pluralism.data.trl import dataset_of, trl_table

        return dataset_of(trl_table(self, prompt=prompt, conversational=conversational, ties=ties))

    def to_arrow(self, *, as_ids: bool | None = None) -> pa.Table:
        """Table in the layout that `read` takes.

        Parameters
        ----------
        as_ids : bool, optional
            Whether `left` and `right` are ids; left out, they are texts where the items have them. Ids keep equal
            texts apart and allow for different prompts, but leave the texts to ``comparisons.items.write(path)``.
        """
        from pluralism.data.comparison_columns import comparisons_table

        return comparisons_table(self, as_ids)

    def write(self, path: str | Path, *, as_ids: bool | None = None) -> None:
        """Write the table of `to_arrow` to a file, in the format of its suffix, whole or not at all."""
        write_table(self.to_arrow(as_ids=as_ids), path)

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return described(self)

    @property
    def n_users(self) -> int:
        """Number of users, with or without rows."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items, with or without rows."""
        return len(self.items)

    @property
    def dim(self) -> int:
        """Number of columns of the features; 0 without."""
        return self.items.dim

    def take(self, index: Column | slice) -> Comparisons:
        """Rows of a mask, a slice or indices; all users and items stay, so codes keep their meaning."""
        rows = as_indices(index, len(self))
        changes: dict[str, Any] = {
            name: frozen(getattr(self, name)[rows])
            for name in ("user", "left", "right", "outcome", "weight", "group", "time", "source", "strength")
            if getattr(self, name) is not None
        }
        changes["covariates"] = {name: (frozen(a[rows]), frozen(b[rows])) for name, (a, b) in self.covariates.items()}
        return self._replace(**changes)

    def compact(self) -> Comparisons:
        """The same rows without the users and items that have none."""
        from pluralism.data.merge import without_unused

        return self._replace(**without_unused(self))

    def concat(self, *others: Comparisons) -> Comparisons:
        """Rows of several sets of comparisons, one after the other; users and items are matched by label and id."""
        from pluralism.data.merge import concat_comparisons

        return concat_comparisons([self, *others])

    def swapped(self) -> Comparisons:
        """The same judgements with left and right exchanged."""
        return self._replace(
            left=self.right,
            right=self.left,
            outcome=frozen(1.0 - self.outcome),
            covariates={name: (b, a) for name, (a, b) in self.covariates.items()},
        )

    def with_items(self, items: Items) -> Comparisons:
        """The same rows about other items, matched by id; `items` must hold every item that a row refers to."""
        from pluralism.data.merge import moved_to_items

        return self._replace(**moved_to_items(self, items))

    def with_features(self, features: np.ndarray, space: str = "user") -> Comparisons:
        """Attach one row of features for each item; see `Items.with_features`."""
        return self._replace(items=self.items.with_features(features, space))

    def embed(self, encoder: Any = "minilm", **options: Any) -> Comparisons:
        """Encode each item's text once with a frozen encoder; options as for `Items.embed`."""
        return self._replace(items=self.items.embed(encoder, **options))

    def covariate_names(self) -> list[str]:
        """Names that `covariate_difference` knows."""
        return list(dict.fromkeys([*self.covariates, *self.items.covariate_names()]))

    def covariate_difference(self, names: Sequence[str]) -> Float64[np.ndarray, "pairs covariates"]:
        """Left minus right of each named covariate.

        A name is looked up among the covariates of the rows, then among those of the items, which have "length"
        built in (see `Items.covariate`). An unknown name is a `UsageError` that lists those that are there.
        """
        return covariate_differences(self, names)

    def equals(self, other: Comparisons) -> bool:
        """Whether all columns and items are the same, byte for byte."""
        from pluralism.data.merge import same_comparisons

        return same_comparisons(self, other)

    def check(self) -> DataReport:
        """Run every data check, and say of each whether it passed."""
        from pluralism.data.check import check_comparisons

        return check_comparisons(self)

    def split(
        self, test: float = 0.2, by: Literal["pair", "row", "user", "prompt"] = "pair", rng: RNG = 0
    ) -> tuple[Comparisons, Comparisons]:
        """Split into a training and a test part without leakage; see `pluralism.data.split`."""
        from pluralism.data.split import split_comparisons

        return split_comparisons(self, test=test, by=by, rng=rng)

    def _replace(self, **changes: Any) -> Comparisons:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__ | changes)
        return new
