"""Items: the things that are judged, once each, with their texts, features and covariates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Float64, Int, Int32

from pluralism.data.arrays import Column, as_indices, finite_vector, frozen
from pluralism.data.content_ids import content_ids
from pluralism.data.faults import FaultLog
from pluralism.data.features import check_features
from pluralism.data.labels import clean_labels, clean_texts, distinct_labels, encode_labels, label_codes, string_column
from pluralism.data.sources import raw_column
from pluralism.errors import DataError, UsageError

__all__ = ["Items", "content_ids", "distinct_texts"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Items:
    """Immutable table of items; everything else refers to them by their row, the code.

    Parameters
    ----------
    ids : LargeStringArray
        Distinct ids; see the rule in `pluralism.data.labels`.
    texts : LargeStringArray, optional
        What each item says. None for items without texts.
    prompts : LargeStringArray, optional
        What each text answers. Null, or an empty string, where there is no prompt.
    features : ndarray of shape (items, dim), optional
        float16, float32 or float64; may be memory-mapped and is never copied.
    feature_space : str, optional
        Which encoder, in which settings, made the features; features of two spaces are never mixed.
    covariates : mapping of str to ndarray of shape (items,)
        Numbers that describe each item.

    Attributes
    ----------
    prompt_features : ndarray of shape (prompts, dim) or None
        What is known of each prompt by itself, in the order of `prompt_codes`; see `with_prompt_features`.

    Examples
    --------
    >>> items = Items.from_texts(["Yes.", "No.", "Yes."])
    >>> items
    Items(2 items with texts)
    >>> items.texts.to_pylist()
    ['Yes.', 'No.']
    """

    ids: pa.LargeStringArray
    texts: pa.LargeStringArray | None
    prompts: pa.LargeStringArray | None
    features: Float[np.ndarray, "items dim"] | None
    feature_space: str | None
    covariates: Mapping[str, Float64[np.ndarray, " items"]]
    prompt_features: Float[np.ndarray, "prompts dim"] | None = None

    def __init__(
        self,
        ids: Column,
        texts: Column | None = None,
        prompts: Column | None = None,
        features: np.ndarray | None = None,
        feature_space: str | None = None,
        covariates: Mapping[str, Column] | None = None,
    ) -> None:
        names = distinct_labels(ids, "ids")
        n = len(names)
        said = None if texts is None else _texts(texts)
        asked = None if prompts is None else _prompts(prompts)
        for name, column in (("texts", said), ("prompts", asked)):
            if column is not None and len(column) != n:
                raise DataError(
                    f"There are {len(column):,} {name} but {n:,} ids.", fix=f"Give one of the {name} for each item."
                )
        if asked is not None and asked.null_count == n:
            asked = None
        if asked is not None and said is None:
            raise DataError("Items have prompts but no texts.", fix="Pass texts= as well.")
        self.__dict__.update(
            ids=names,
            texts=said,
            prompts=asked,
            features=None if features is None else check_features(features, names),
            feature_space=None if features is None else feature_space or "user",
            covariates={str(name): finite_vector(values, name, n) for name, values in (covariates or {}).items()},
        )

    @classmethod
    def from_texts(
        cls,
        texts: Column,
        *,
        ids: Column | None = None,
        prompts: Column | None = None,
        covariates: Mapping[str, Column] | None = None,
    ) -> Items:
        """Build items from texts.

        Parameters
        ----------
        texts : sequence of str
        ids : sequence, optional
            Without ids, equal (prompt, text) become one item, in order of first appearance, whose id is
            `content_ids`. With ids, every row stays an item of its own.
        prompts : sequence of str or None, optional
        covariates : mapping of str to sequence of float, optional
            One value for each text given; texts that are merged must agree.

        Raises
        ------
        DataError
            For empty texts or prompts of another length.
        """
        clean = _texts(texts)
        asked = None if prompts is None else _prompts(prompts)
        n = len(clean)
        if asked is not None and len(asked) != n:
            raise DataError(f"There are {len(asked):,} prompts but {n:,} texts.", fix="Give one prompt for each text.")
        columns = {name: finite_vector(values, name, n) for name, values in (covariates or {}).items()}
        if ids is not None:
            return cls(string_column(ids, "ids"), clean, asked, covariates=columns)
        codes, first = distinct_texts(clean, asked)
        for name, values in columns.items():
            if not np.array_equal(values[first][codes], values):
                raise DataError(
                    f"Equal texts have different values of the covariate {name!r}.",
                    fix="Pass ids= to keep equal texts apart, or give equal texts equal values.",
                )
        return cls.of_distinct(clean.take(first), None if asked is None else asked.take(first))._replace(
            covariates={name: frozen(values[first]) for name, values in columns.items()}
        )

    @classmethod
    def of_distinct(cls, texts: pa.LargeStringArray, prompts: pa.LargeStringArray | None) -> Items:
        """Items of clean texts that are known to be distinct; their ids are `content_ids`."""
        if prompts is not None and prompts.null_count == len(prompts):
            prompts = None
        items = object.__new__(cls)
        items.__dict__.update(ids=content_ids(texts, prompts), texts=texts, prompts=prompts)
        items.__dict__.update(features=None, feature_space=None, covariates={})
        return items

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        features: str | Path | np.ndarray | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> Items:
        """Read items from a file (Parquet, CSV, JSONL, Arrow) with the columns `id`, `text` and perhaps `prompt`.

        Further columns of numbers become covariates; those with empty cells are left out with a `DataWarning`.

        Parameters
        ----------
        path : str or Path
        features : str, Path or ndarray, optional
            A matrix, or a .npy file to be memory-mapped, with one row for each item in the order of the file.
        columns : mapping of str to str, optional
            Names above to names in the file, such as ``{"id": "item_id"}``.
        """
        from pluralism.data.files_io import read_source
        from pluralism.data.item_columns import items_from_source

        return items_from_source(read_source(path).renamed(columns), features)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        features: str | Path | np.ndarray | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> Items:
        """Build items from any frame that speaks Arrow; columns as in `read`."""
        from pluralism.data.frames import frame_source
        from pluralism.data.item_columns import items_from_source

        return items_from_source(frame_source(frame).renamed(columns), features)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        parts = [f"{len(self):,} items {'without' if self.texts is None else 'with'} texts"]
        if self.prompts is not None:
            parts.append(f"{'some ' if self.prompts.null_count else ''}prompts")
        if self.features is not None:
            where = " on disk" if isinstance(self.features, np.memmap) else ""
            parts.append(f"{self.dim} {self.features.dtype} features{where} ({self.feature_space})")
        if self.covariates:
            parts.append("covariates " + ", ".join(self.covariates))
        return f"Items({', '.join(parts)})"

    @property
    def dim(self) -> int:
        """Number of columns of the features; 0 without features."""
        return 0 if self.features is None else int(self.features.shape[1])

    def equals(self, other: Items) -> bool:
        """Whether all columns are the same, byte for byte."""

        def same(a: Any, b: Any) -> bool:
            return a is b or (a is not None and b is not None and a.equals(b))

        return (
            same(self.ids, other.ids)
            and same(self.texts, other.texts)
            and same(self.prompts, other.prompts)
            and self.feature_space == other.feature_space
            and (self.features is None) == (other.features is None)
            and (self.features is None or np.array_equal(self.features, _given(other.features)))
            and (self.prompt_features is None) == (other.prompt_features is None)
            and (self.prompt_features is None or np.array_equal(self.prompt_features, _given(other.prompt_features)))
            and self.covariates.keys() == other.covariates.keys()
            and all(np.array_equal(values, other.covariates[name]) for name, values in self.covariates.items())
        )

    def take(self, indices: Column | slice) -> Items:
        """Items of these codes, in this order; features are copied into memory."""
        rows = as_indices(indices, len(self))
        if len(np.unique(rows)) != len(rows):
            raise UsageError("An item cannot be taken twice.", fix="Pass distinct codes, e.g. numpy.unique(indices).")
        return self._replace(
            ids=self.ids.take(rows),
            texts=None if self.texts is None else self.texts.take(rows),
            prompts=None if self.prompts is None else self.prompts.take(rows),
            features=None if self.features is None else frozen(np.asarray(self.features[rows])),
            prompt_features=self._prompt_features_of(rows),
            covariates={name: frozen(values[rows]) for name, values in self.covariates.items()},
        )

    def index(self, ids: Column) -> Int32[np.ndarray, " given"]:
        """Codes of ids; -1 for an id that no item has."""
        return label_codes(string_column(ids, "ids"), self.ids)

    def prompt_codes(self) -> Int32[np.ndarray, " items"]:
        """Code of each item's prompt, in order of first appearance; -1 where there is none."""
        if self.prompts is None:
            return np.full(len(self), -1, dtype=np.int32)
        return encode_labels(self.prompts)[0]

    def encoded_texts(self) -> list[str]:
        """What an encoder reads: the text, or the prompt, an empty line and the text."""
        if self.texts is None:
            raise UsageError(
                "These items have no texts to encode.",
                fix="Fit an item-only model, attach your own features, or read the items with their texts.",
            )
        if self.prompts is None:
            return self.texts.to_pylist()
        joined = pc.binary_join_element_wise(self.prompts, self.texts, pa.scalar("\n\n", pa.large_string()))
        return pc.coalesce(joined, self.texts).to_pylist()

    def without_features(self) -> Items:
        """The same items as ids and texts alone."""
        return self._replace(features=None, feature_space=None)

    def with_features(self, features: np.ndarray, space: str = "user", *, where: str = "features") -> Items:
        """Attach a feature matrix, one row for each item.

        Parameters
        ----------
        features : ndarray of shape (items, dim)
            float16, float32 or float64; see `pluralism.data.features.check_features` for what is refused.
        space : str
            Which encoder, in which settings, made them.
        where : str
            What messages call the matrix, such as the path of its file.
        """
        return self._replace(features=check_features(features, self.ids, where=where), feature_space=str(space))

    def with_prompt_features(self, features: np.ndarray, *, where: str = "prompt features") -> Items:
        """Attach what is known of each prompt by itself, for models in which tastes depend on it.

        Parameters
        ----------
        features : ndarray of shape (prompts, dim)
            One row for each distinct prompt, in order of first appearance, as `prompt_codes` counts them.

        Raises
        ------
        DataError
            If the items have no prompts, or the rows are of another number or unusable.
        """
        if self.prompts is None:
            raise DataError("These items have no prompts.", fix="Pass prompts= where the items are made.")
        return self._replace(prompt_features=check_features(features, encode_labels(self.prompts)[1], where=where))

    def embed(
        self,
        encoder: Any = "minilm",
        *,
        prompts: bool = False,
        cache: Any = None,
        progress: bool = False,
        **options: Any,
    ) -> Items:
        """Encode the texts with a frozen encoder and attach the vectors as features.

        Parameters
        ----------
        encoder : str, Encoder or callable
            See `pluralism.embeddings.embed`, which also takes the other arguments.
        prompts : bool
            Encode each distinct prompt by itself as well, and attach the vectors as `prompt_features`.
        """
        from pluralism.embeddings import embed

        features, space = embed(self.encoded_texts(), encoder, cache=cache, progress=progress, **options)
        found = self.with_features(features, space)
        if not prompts or self.prompts is None:
            return found
        asked = encode_labels(self.prompts)[1].to_pylist()
        described, _ = embed(asked, encoder, cache=cache, progress=progress, **options)
        return found.with_prompt_features(described)

    def covariate(self, name: str) -> Float64[np.ndarray, " items"]:
        """A covariate by name.

        "length" is built in, unless there is a covariate of that name: log(1 + number of characters of the text).
        """
        if name in self.covariates:
            return self.covariates[name]
        if name == "length" and self.texts is not None:
            characters = pc.utf8_length(self.texts).to_numpy(zero_copy_only=False)
            return np.log1p(characters.astype(np.float64))
        raise UsageError(f"The items have no covariate {name!r}.", fix=f"Choose one of {self.covariate_names()}.")

    def covariate_names(self) -> list[str]:
        """Names that `covariate` knows."""
        builtin = [] if self.texts is None or "length" in self.covariates else ["length"]
        return [*self.covariates, *builtin]

    def to_arrow(self) -> pa.Table:
        """Table with the columns `id`, `text`, `prompt` and the covariates, as `read` takes them; without features."""
        columns: dict[str, Any] = {"id": self.ids}
        columns |= {} if self.texts is None else {"text": self.texts}
        columns |= {} if self.prompts is None else {"prompt": self.prompts}
        return pa.table(columns | {name: pa.array(values) for name, values in self.covariates.items()})

    def write(self, path: str | Path) -> None:
        """Write the table of `to_arrow` to a file, in the format of its suffix, whole or not at all."""
        from pluralism.data.files_io import write_table

        write_table(self.to_arrow(), path)

    def _prompt_features_of(self, rows: Int[np.ndarray, " taken"]) -> np.ndarray | None:
        """The prompt features of some items, in the order in which their prompts first appear."""
        if self.prompt_features is None:
            return None
        codes = self.prompt_codes()[rows]
        codes = codes[codes >= 0]
        first = np.sort(np.unique(codes, return_index=True)[1])
        return frozen(np.asarray(self.prompt_features[codes[first]])) if len(first) else None

    def _replace(self, **changes: Any) -> Items:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__ | changes)
        return new


def distinct_texts(
    texts: pa.LargeStringArray, prompts: pa.LargeStringArray | None
) -> tuple[Int32[np.ndarray, " rows"], Int[np.ndarray, " distinct"]]:
    """Codes of (prompt, text) in order of first appearance, and the row in which each first appears."""
    codes, distinct = encode_labels(texts)
    if prompts is not None:
        prompt_codes, _ = encode_labels(prompts)
        joint = (prompt_codes.astype(np.int64) + 1) * len(distinct) + codes
        encoded = pa.array(joint).dictionary_encode()
        codes = encoded.indices.to_numpy().astype(np.int32, copy=False)
    if len(codes) == 0:
        return codes, np.zeros(0, dtype=np.int64)
    first = np.empty(int(codes.max()) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return codes, first


def _texts(texts: Any) -> pa.LargeStringArray:
    raw = raw_column(texts)
    log = FaultLog("argument 'texts'", len(raw))
    clean = clean_texts(raw, log, "texts")
    log.settle()
    return clean


def _prompts(prompts: Any) -> pa.LargeStringArray:
    raw = raw_column(prompts)
    log = FaultLog("argument 'prompts'", len(raw))
    clean = clean_labels(raw, log, "prompts", nullable=True)
    log.settle()
    return clean


def _given(features: np.ndarray | None) -> np.ndarray:
    return np.zeros((0, 0)) if features is None else features
