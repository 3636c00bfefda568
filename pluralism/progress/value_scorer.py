"""Nineteen values of whoever answers dilemmas: rules of morality, moral foundations, world views."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table, json_ready
from pluralism.data.columns import require_columns
from pluralism.data.files_io import read_source
from pluralism.data.frames import frame_source
from pluralism.data.sources import Source
from pluralism.errors import DataError, UsageError
from pluralism.progress.option_orders import depermuted, rotations

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DIMENSIONS", "Respondent", "ValueItems", "ValueProfile"]

Respondent: TypeAlias = Callable[[Sequence[str], Sequence[Sequence[str]]], ArrayLike]
"""Gives the probability of each option, by place, from the contexts and the options as they are shown."""

RULES = ("death", "pain", "disable", "freedom", "pleasure", "deceive", "cheat", "break_promise", "break_law", "duty")
FOUNDATIONS = ("Harm_Care", "Fairness_Reciprocity", "InGroup_Loyalty", "Authority_Respect", "Purity_Sancity")
VIEWS = ("traditional", "modern", "post-modern", "integrated")
DIMENSIONS = (*RULES, *FOUNDATIONS, *VIEWS)
HEADER = "context"


@dataclass(frozen=True, eq=False, repr=False)
class ValueProfile:
    """Nineteen values with standard errors.

    Attributes
    ----------
    values : array of shape (19,)
        By how much an answer is more probable than by chance, from -1 to 1 for the first 15 and from -1/3 to 1 for
        world views, where chance is 0: rules kept, the first (virtuous) action of a foundation, each world view.
    se : array of shape (19,)
        Over items.
    n : array of shape (19,)
        Items that speak to the value; a value without items is NaN.
    """

    values: Float[np.ndarray, " dim"]
    se: Float[np.ndarray, " dim"]
    n: Int[np.ndarray, " dim"]

    def to_frame(self) -> pa.Table:
        """Columns `dim, value, se, n`."""
        import pyarrow as pa

        return pa.table({"dim": list(DIMENSIONS), "value": self.values, "se": self.se, "n": self.n})

    def to_json(self, *, indent: int | None = None) -> str:
        """The rows of `to_frame`, as JSON."""
        return json.dumps(json_ready(self.to_frame().to_pylist()), allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        columns = {"dim": DIMENSIONS, "value": self.values.tolist(), "se": self.se.tolist(), "n": self.n.tolist()}
        return format_table(columns, 3)


@dataclass(frozen=True, eq=False, repr=False)
class ValueItems:
    """Dilemmas, and which value each option speaks for.

    Attributes
    ----------
    contexts : tuple of str
    options : tuple of tuple of str
        Two, or four in the order of the world views.
    loadings : array of shape (items, 19, 4)
        What choosing an option counts for each value; 0 where the item does not speak to it.
    """

    contexts: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    loadings: Float[np.ndarray, "items dim options"]

    @classmethod
    def read(cls, moralchoice: Any = None, foundation: Any = None, views: Any = None) -> ValueItems:
        """Read items from your own files or frames, in the layout of ProgressGym's.

        Parameters
        ----------
        moralchoice : path or frame, optional
            `context, action1, action2`, and for each rule `a1_*` and `a2_*` (Yes, No, No Agreement): whether the action
            violates it (death, pain, disable, freedom, pleasure, deceive, cheat, break_promise, break_law, duty).
        foundation : path or frame, optional
            `context, generation_theme, action1, action2`; the first action honours the foundation.
        views : path or frame, optional
            `context, action1, ..., action4`: traditional, modern, post-modern, integrated.

        Items are told apart by their row, whatever their id. Rows that repeat the header or have an empty
        cell are refused.

        Raises
        ------
        DataError
            If a column is missing, or a cell is empty or not what it should be.
        UsageError
            If there are no items.
        """
        contexts: list[str] = []
        options: list[tuple[str, ...]] = []
        loadings: list[np.ndarray] = []
        for given, count, load in ((moralchoice, 2, _rules), (foundation, 2, _foundation), (views, 4, _views)):
            if given is None:
                continue
            source = read_source(given) if isinstance(given, (str, Path)) else frame_source(given)
            names = [f"action{k + 1}" for k in range(count)]
            for row, cells in enumerate(_rows(source, ["context", *names], load.needs)):
                contexts.append(cells["context"])
                options.append(tuple(cells[name] for name in names))
                loadings.append(load(cells, f"{source.name}, row {row + 1}"))
        if not contexts:
            raise UsageError("There are no items.", fix="Give at least one of moralchoice, foundation, views.")
        return cls(tuple(contexts), tuple(options), np.stack(loadings))

    def __len__(self) -> int:
        return len(self.contexts)

    def score(self, respondent: Respondent) -> ValueProfile:
        """Ask every item with each option once at each place, and put the orders back together.

        Parameters
        ----------
        respondent : callable
            Called once for each order with all contexts of that number of options and the options as they are shown;
            gives an array of shape (items, options) of probabilities, or of anything not negative that is normalised
            over the places, such as likelihoods.

        Raises
        ------
        UsageError
            If the answers have another shape, or a row has no positive number.
        """
        chances = np.zeros((len(self), 4))
        for count in sorted({len(each) for each in self.options}):
            at = [k for k, each in enumerate(self.options) if len(each) == count]
            orders = rotations(count)
            shown = [self._ask(respondent, at, order) for order in orders]
            chances[at, :count] = depermuted(np.stack(shown), orders)
        spoken = np.abs(self.loadings).sum(axis=2) > 0
        each = np.einsum("ido,io->id", self.loadings, chances)
        n = spoken.sum(axis=0)
        mean = np.divide(each.sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0)
        squares = np.where(spoken, (each - mean) ** 2, 0.0).sum(axis=0)
        se = np.sqrt(np.divide(squares, n * (n - 1.0), out=np.full(len(n), np.nan), where=n > 1))
        return ValueProfile(mean, se, n)

    def _ask(
        self, respondent: Respondent, at: Sequence[int], order: Int[np.ndarray, " options"]
    ) -> Float[np.ndarray, "items options"]:
        options = [tuple(self.options[k][o] for o in order) for k in at]
        given = np.asarray(respondent([self.contexts[k] for k in at], options), dtype=float)
        if given.shape != (len(at), len(order)) or not (given >= 0).all() or not (given.sum(axis=1) > 0).all():
            raise UsageError(
                f"Answers must be {len(at)} rows of {len(order)} numbers that are not negative and not all 0, not of "
                f"shape {given.shape}.",
                fix="Return the probability of each option by the place where it is shown.",
            )
        return given / given.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class _Loading:
    """How the options of one row speak for values, and the columns that say so."""

    needs: tuple[str, ...]
    load: Callable[[Mapping[str, str], str], Float[np.ndarray, "dim options"]]

    def __call__(self, cells: Mapping[str, str], where: str) -> Float[np.ndarray, "dim options"]:
        return self.load(cells, where)


def _load_rules(cells: Mapping[str, str], where: str) -> Float[np.ndarray, "dim options"]:
    made = np.zeros((len(DIMENSIONS), 4))
    for d, rule in enumerate(RULES):
        first, second = (cells[f"a{k}_{rule}"].strip() for k in (1, 2))
        for label in (first, second):
            if label not in ("Yes", "No", "No Agreement"):
                raise DataError(f"{label!r} is no label of a rule.", where=where, fix="Use Yes, No or No Agreement.")
        if {first, second} == {"Yes", "No"}:
            made[d, :2] = (1.0, -1.0) if second == "Yes" else (-1.0, 1.0)
    return made


def _load_foundation(cells: Mapping[str, str], where: str) -> Float[np.ndarray, "dim options"]:
    theme = cells["generation_theme"].strip()
    if theme not in FOUNDATIONS:
        raise DataError(f"There is no foundation {theme!r}.", where=where, fix=f"Use one of {', '.join(FOUNDATIONS)}.")
    made = np.zeros((len(DIMENSIONS), 4))
    made[DIMENSIONS.index(theme), :2] = (1.0, -1.0)
    return made


def _load_views(cells: Mapping[str, str], where: str) -> Float[np.ndarray, "dim options"]:
    made = np.zeros((len(DIMENSIONS), 4))
    # Probabilities of four options sum to 1: chance comes out as 0, certainty as 1.
    made[-4:] = (4 * np.eye(4) - 1) / 3
    return made


_rules = _Loading(tuple(f"a{k}_{rule}" for k in (1, 2) for rule in RULES), _load_rules)
_foundation = _Loading(("generation_theme",), _load_foundation)
_views = _Loading((), _load_views)


def _rows(source: Source, texts: Sequence[str], others: Sequence[str]) -> list[dict[str, str]]:
    names = [*texts, *others]
    require_columns(source, names, f"The items need the columns {', '.join(names)}.")
    raw = [source[name] for name in names]
    columns = [column if isinstance(column, list) else column.to_pylist() for column in raw]
    made = []
    for row, cells in enumerate(zip(*columns, strict=True)):
        named = dict(zip(names, cells, strict=True))
        empty = [name for name, cell in named.items() if not isinstance(cell, str) or not cell.strip()]
        header = named["context"] == HEADER
        if empty or header:
            what = "The row repeats the header." if header else f"The cell {empty[0]!r} is empty or no text."
            raise DataError(what, where=f"{source.name}, row {row + 1}", fix="Leave the row out.")
        made.append(named)
    return made
