"""DATA on the command line: files of several kinds, all turned into comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pluralism.data.votes import THRESHOLD
from pluralism.errors import DataError, UsageError

if TYPE_CHECKING:
    from pluralism.data import Comparisons, DataReport, Items, Rankings, Ratings
    from pluralism.data.sources import Source
    from pluralism.models import PreferenceModel

__all__ = ["KINDS", "Reading", "naming"]

KINDS = ("comparisons", "ratings", "rankings", "trl", "preflib", "polis")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors about data that are already read name the file as well."""
    try:
        yield
    except DataError as error:
        if error.where is not None and str(path) in error.where:
            raise
        where = str(path) if error.where is None else f"{path}, {error.where}"
        raise type(error)(error.what, where=where, fix=error.fix) from error


@dataclass(frozen=True)
class Reading:
    """How files of data are read.

    Parameters
    ----------
    kind : str, optional
        One of `KINDS`; left out, by name and columns.
    columns : mapping of str to str
        Names of the contract to names in the file.
    user : str, optional
        Who judged, for a file of comparisons without users.
    attribute : str, optional
        Which attribute of ratings to compare by.
    max_pairs : int, optional
        The most pairs made of one user's ratings, or of one ballot.
    votes : bool
        Whether ratings are read as votes, each against a threshold, and not as pairs.
    items, features : Path, optional
        Texts and the user's own features of items; the data then hold ids.
    """

    kind: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    attribute: str | None = None
    max_pairs: int | None = None
    items: Path | None = None
    features: Path | None = None
    votes: bool = False

    def of_votes(self, models: Iterable[PreferenceModel]) -> Reading:
        """The same, with ratings read as votes if one of the models has a threshold."""
        return replace(self, votes=any(THRESHOLD in getattr(model, "covariates", ()) for model in models))

    @cached_property
    def known_items(self) -> Items | None:
        """The items that the user gave, read once.

        Raises
        ------
        UsageError
            If there are features without items.
        DataError
            If the files do not hold items, or features that do not fit them.
        """
        from pluralism.data import Items

        if self.items is None:
            if self.features is not None:
                raise UsageError(
                    "There are features without items, so nobody knows which row belongs to which text.",
                    where=f"--features {self.features}",
                    fix="Give --items as well: a file with the columns id and text, one row for each row of features.",
                )
            return None
        return Items.read(self.items, features=self.features)

    def read(self, path: Path) -> tuple[Comparisons, str]:
        """Read a file as comparisons.

        Returns
        -------
        comparisons : Comparisons
        kind : str
            What the file holds, one of `KINDS`.

        Raises
        ------
        DataError
            Naming file, row and column of what is wrong.
        UsageError
            If options do not fit the kind.
        """
        source, kind = self._open(path)
        if kind in ("ratings", "polis"):
            ratings = self._ratings(path, source)
            if self.votes:
                if self.max_pairs is not None:
                    raise UsageError(
                        "This model takes ratings as votes, and makes no pairs of them.",
                        where="--max-pairs",
                        fix="Leave it out.",
                    )
                return ratings.to_votes(attribute=self.attribute), kind
            return ratings.to_comparisons(attribute=self.attribute, max_pairs_per_user=self.max_pairs), kind
        self._refuse("attribute", kind, self.attribute, "ratings")
        if kind in ("rankings", "preflib"):
            return self._rankings(path, source).to_comparisons(max_pairs_per_ballot=self.max_pairs), kind
        self._refuse("max-pairs", kind, self.max_pairs, "ratings and rankings")
        return self._comparisons(path, source, kind), kind

    def read_for(self, path: Path, takes: Sequence[str]) -> tuple[Comparisons | Rankings, str]:
        """Read a file for a model: ballots as they are if it `takes` rankings, all else as comparisons.

        Raises
        ------
        DataError
            Naming file, row and column of what is wrong.
        UsageError
            If options do not fit the kind, or the model.
        """
        if "rankings" not in takes:
            return self.read(path)
        source, kind = self._open(path)
        if kind not in ("rankings", "preflib"):
            return self.read(path)
        self._refuse("attribute", kind, self.attribute, "ratings")
        if self.max_pairs is not None:
            raise UsageError(
                "This model takes ballots as they are, and makes no pairs of them.",
                where="--max-pairs",
                fix="Leave it out.",
            )
        return self._rankings(path, source), kind

    def read_ratings(self, path: Path) -> Ratings:
        """Read a file as ratings of all its attributes.

        Raises
        ------
        DataError
            Naming file, row and column of what is wrong.
        UsageError
            If the file holds something else.
        """
        source, kind = self._open(path)
        if kind not in ("ratings", "polis"):
            raise UsageError(
                f"The data are {kind}, and ratings are needed.",
                where=str(path),
                fix="Give a file with the columns user, item, value and perhaps attribute, or name its columns with "
                "--column.",
            )
        return self._ratings(path, source)

    def read_items(self, path: Path) -> tuple[Items, Comparisons | None]:
        """Read a table of items, or the items of judgements together with these.

        Raises
        ------
        DataError
            Naming file, row and column of what is wrong.
        """
        from pluralism.data.item_columns import items_from_source

        if self._plain_kind(path) is None:
            source = self._open(path)[0]
            if source is not None and "id" in source and "text" in source:
                return items_from_source(source), None
        comparisons, _ = self.read(path)
        return comparisons.items, comparisons

    def check(self, path: Path) -> DataReport:
        """Check a file, and list all that is wrong with it.

        Raises
        ------
        DataError
            If a Polis export cannot be read.
        """
        from pluralism.data.check import check_file

        if self._plain_kind(path) == "polis":
            self._refuse_items("polis")
            return replace(self._ratings(path, None, strict=False).check(), source=str(path))
        try:
            source, kind = self._open(path)
        except DataError:
            # The report says that the file cannot be read, and why.
            source, kind = None, self.kind or "comparisons"
        if kind == "trl" and source is not None:
            return replace(self._comparisons(path, source, kind).check(), source=str(path))
        return check_file(
            path,
            self.items,
            self.features,
            kind="ratings" if kind == "ratings" else "rankings" if kind in ("rankings", "preflib") else "comparisons",
            columns=self.columns or None,
            user=self.user,
            texts=None if source is None or self.items is not None else _texts(source),
        )

    def _plain_kind(self, path: Path) -> str | None:
        """The kind as far as it is known without opening the file."""
        from pluralism.data.preflib import SUFFIXES

        if self.kind is not None and self.kind not in KINDS:
            raise UsageError(
                f"{self.kind!r} is no kind of data.", where="--kind", fix=f"Use one of {', '.join(KINDS)}."
            )
        if self.kind is not None:
            return self.kind
        if path.suffix.lower() in SUFFIXES:
            return "preflib"
        return "polis" if path.is_dir() else None

    def _open(self, path: Path) -> tuple[Source | None, str]:
        """The columns of a table, and what they are; no columns for files that are no tables."""
        from pluralism.data.files_io import read_source

        kind = self._plain_kind(path)
        if kind in ("preflib", "polis"):
            self._refuse_items(kind)
            return None, kind
        source = read_source(path).renamed(self.columns)
        if kind is None:
            kind = _kind_of_table(source)
        return source, kind

    def _comparisons(self, path: Path, source: Source | None, kind: str) -> Comparisons:
        from pluralism.data.comparison_columns import comparisons_from_source
        from pluralism.data.files_io import read_source
        from pluralism.data.trl import comparisons_from_trl

        table = read_source(path).renamed(self.columns) if source is None else source
        if kind == "trl":
            self._refuse("items", kind, self.items, "tables of ids")
            return comparisons_from_trl(table, user=self.user)
        return comparisons_from_source(table, items=self.known_items, user=self.user, texts=_texts(table))

    def _ratings(self, path: Path, source: Source | None, *, strict: bool = True) -> Ratings:
        from pluralism.data.polis import read_polis
        from pluralism.data.rating_columns import ratings_from_source

        return (
            read_polis(path, strict=strict) if source is None else ratings_from_source(source, items=self.known_items)
        )

    def _rankings(self, path: Path, source: Source | None) -> Rankings:
        from pluralism.data.preflib import read_preflib
        from pluralism.data.ranking_columns import rankings_from_source

        if source is None:
            return read_preflib(path)
        return rankings_from_source(source, items=self.known_items, texts=_texts(source))

    def _refuse(self, option: str, kind: str, value: object, fits: str) -> None:
        if value is not None:
            raise UsageError(
                f"The data are {kind}.", where=f"--{option}", fix=f"--{option} is for {fits}; leave it out."
            )

    def _refuse_items(self, kind: str) -> None:
        for option in ("items", "features", "user"):
            self._refuse(option, kind, getattr(self, option), "tables")
        if self.columns:
            self._refuse("column", kind, self.columns, "tables")


def _kind_of_table(source: Source) -> str:
    """What a table holds, by its columns; lists of messages are TRL's conversations."""
    import pyarrow as pa

    if "ranking" in source or ("item" in source and "rank" in source):
        return "rankings"
    if "item" in source and "value" in source:
        return "ratings"
    if "chosen" not in source:
        return "comparisons"
    column = source["chosen"]
    nested = (
        any(isinstance(cell, list) for cell in column) if isinstance(column, list) else pa.types.is_nested(column.type)
    )
    return "trl" if nested else "comparisons"


def _texts(source: Source) -> bool | None:
    """False where whole numbers name all items; in CSV files they look like texts, and nobody means to embed them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [source[name] for name in ("left", "right", "chosen", "rejected", "item") if name in source]
    for column in columns:
        if isinstance(column, list) or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return None
        if not pc.all(pc.fill_null(pc.match_substring_regex(column, r"^\s*[0-9]+\s*$"), True)).as_py():
            return None
    return False if columns and source.n_rows else None
