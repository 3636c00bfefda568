"""Rows of training data: the columns of TRL's data sets, checked, of one group or of all, as tokens of a model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pluralism.data.frames import frame_source
from pluralism.data.sources import RawColumn, Source
from pluralism.errors import DataError, DataWarning
from pluralism.policy.lm.conditioned_pairs import ConditionedPairs

if TYPE_CHECKING:
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = [
    "FROM_PAIRS",
    "Answered",
    "answered",
    "choose_rows",
    "columns_of",
    "groups_of",
    "labels_of",
    "numbers_of",
    "token_rows",
]

FROM_PAIRS = frozenset({"prompt", "chosen", "rejected", "completion", "label"})
"""Columns of recipes that `ConditionedPairs` fill, in one of their forms."""

Turns = tuple[tuple[str, str], ...]
Context = tuple[str, str | None, Turns]

_MESSAGES = "A prompt is a text, or a list of messages (perhaps system, then user and assistant in turn, user last)."


def choose_rows(data: Any, columns: Sequence[str], *, group: str | None = None) -> Source:
    """Read data and keep the rows of one group.

    Parameters
    ----------
    data : ConditionedPairs, datasets.Dataset, frame, mapping of columns or list of records
        Pairs give what the columns ask for: pairs, responses with thumbs, or the chosen ones alone.
    columns : sequence of str
        Those that must be there.
    group : str, optional
        Keep the rows that have this in the column `group`; all rows by default.

    Raises
    ------
    DataError
        A column is missing, there are no rows, or the group has none.
    """
    source = frame_source(_form_of(data, columns) if isinstance(data, ConditionedPairs) else data)
    missing = [name for name in (*columns, *(() if group is None else ("group",))) if name not in source]
    if missing:
        raise DataError(
            f"The column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))} "
            f"{'are' if len(missing) > 1 else 'is'} missing.",
            where=f"{source.name}; columns: {', '.join(map(repr, source.columns)) or '(none)'}",
            fix=f"This recipe trains on rows of {', '.join(columns)}; rename yours, or build such rows.",
        )
    if group is not None:
        labels = _cells(source["group"])
        kept = [row for row, label in enumerate(labels) if label is not None and str(label) == group]
        if not kept:
            known = sorted({str(label) for label in labels if label is not None})
            raise DataError(
                f"The group {group!r} has no rows.",
                where=source.name,
                fix=f"There are rows of {', '.join(known) or 'no group'}.",
            )
        held = {name: [cells[row] for row in kept] for name, cells in columns_of(source).items()}
        source = Source.of_columns(held, name=f"{source.name}, group {group!r}")
    if not source.n_rows:
        raise DataError("There are no rows to train on.", where=source.name, fix="Give one at least.")
    return source


def _form_of(pairs: ConditionedPairs, columns: Sequence[str]) -> Any:
    if "label" in columns:
        return pairs.to_unpaired(conversational=False)
    return pairs.to_answers(conversational=False) if "completion" in columns else pairs.to_frame()


def groups_of(data: Any) -> tuple[str, ...]:
    """The groups that the column `group` names, in alphabetical order.

    Raises
    ------
    DataError
        There is no such column, or it names no group.
    """
    source = choose_rows(data, ("group",))
    found = sorted({str(label) for label in _cells(source["group"]) if label is not None})
    if not found:
        raise DataError("The column 'group' names no group.", where=source.name, fix="Write each row's group there.")
    return tuple(found)


Answered = tuple[list[Context], dict[str, list[str]]]


def answered(source: Source, answers: Sequence[str]) -> Answered:
    """What is asked in each row, and the answers by column.

    Parameters
    ----------
    source : Source
        With the column prompt and perhaps system.
    answers : sequence of str
        Columns of answers: texts, or lists of one message.

    Raises
    ------
    DataError
        A cell is empty or of another kind.
    """
    prompts = _cells(source["prompt"])
    systems = _cells(source["system"]) if "system" in source else [None] * source.n_rows
    contexts = [_context(*cells, _place(source, row)) for row, cells in enumerate(zip(prompts, systems, strict=True))]
    texts = {
        name: [_answer(cell, name, _place(source, row)) for row, cell in enumerate(_cells(source[name]))]
        for name in answers
    }
    return contexts, texts


def numbers_of(source: Source, name: str) -> list[Any]:
    """A column of numbers, none missing.

    Raises
    ------
    DataError
    """
    cells = _cells(source[name])
    for row, cell in enumerate(cells):
        if not isinstance(cell, (int, float)) or cell != cell:
            raise DataError(
                f"{name} is {cell!r}.", where=_place(source, row), fix=f"Give a number for {name} in each row."
            )
    return cells


def labels_of(source: Source, name: str = "label") -> list[bool]:
    """A column of thumbs: true (up) or false (down), 1 or 0.

    Raises
    ------
    DataError
    """
    cells = _cells(source[name])
    for row, cell in enumerate(cells):
        if not isinstance(cell, (bool, int, float)) or cell not in (0, 1):
            raise DataError(f"{name} is {cell!r}.", where=_place(source, row), fix="Write true or false in each row.")
    return [bool(cell) for cell in cells]


def token_rows(
    model: LanguageModel, data: Answered, name: str, *, max_tokens: int | None
) -> tuple[list[list[int]], dict[str, list[list[int]]]]:
    """Tokens of prompts and answers, the very ones that `LanguageModel.log_probs` scores.

    Parameters
    ----------
    model : LanguageModel
    data : tuple
        As from `answered`.
    name : str
        Where the rows come from, for messages.
    max_tokens : int, optional
        The most tokens that prompt and answer have together, if it is less than what the model reads.

    Returns
    -------
    prompts : list of list of int
    answers : dict of str to list of list of int
        Each ends with the token that ends a turn, unless it is cut, for which there is a `DataWarning`.

    Raises
    ------
    DataError
        A prompt alone has as many tokens as may be.
    """
    contexts, texts = data
    known: dict[Context, list[int]] = {}
    for context in contexts:
        if context not in known:
            prompt, system, turns = context
            known[context] = model.prompt_tokens(prompt, system=system, examples=turns)
    prompts = [known[context] for context in contexts]
    most = model.limit if max_tokens is None else min(max_tokens, model.limit)
    long = [row for row, tokens in enumerate(prompts) if len(tokens) >= most]
    if long:
        raise DataError(
            f"{len(long):,} prompts have {most:,} tokens or more, which leaves none for an answer.",
            where=f"{name}, row {long[0] + 1}",
            fix="Raise max_tokens where the model reads more, or leave these rows out.",
        )
    rooms = [most - len(tokens) for tokens in prompts]
    answers = {column: [model.response_tokens(text) for text in cells] for column, cells in texts.items()}
    n_cut = sum(len(tokens) > room for cells in answers.values() for tokens, room in zip(cells, rooms, strict=True))
    if n_cut:
        warnings.warn(
            f"{name}: {n_cut:,} answers are cut, since they and their prompts have more than {most:,} tokens.",
            DataWarning,
            stacklevel=2,
        )
    cut = {
        column: [tokens[:room] for tokens, room in zip(cells, rooms, strict=True)] for column, cells in answers.items()
    }
    return prompts, cut


def columns_of(source: Source) -> dict[str, list[Any]]:
    """All columns as lists."""
    return {name: _cells(column) for name, column in source.columns.items()}


def _cells(column: RawColumn) -> list[Any]:
    return column if isinstance(column, list) else column.to_pylist()


def _place(source: Source, row: int) -> str:
    return f"{source.name}, row {row + 1}"


def _context(prompt: Any, system: Any, where: str) -> Context:
    if system is not None and not isinstance(system, str):
        raise DataError(f"The system message is {system!r}.", where=where, fix="It is a text, or nothing.")
    if isinstance(prompt, str):
        return prompt, system, ()
    roles, contents = _roles(prompt, where, _MESSAGES)
    if roles[:1] == ("system",):
        if system is not None:
            raise DataError(
                "There is a system message both in the prompt and in the column system.",
                where=where,
                fix="Give it in one place.",
            )
        system, roles, contents = contents[0], roles[1:], contents[1:]
    if roles != ("user", "assistant") * (len(roles) // 2) + ("user",):
        raise DataError(f"The turns of a prompt are {', '.join(roles) or 'none'}.", where=where, fix=_MESSAGES)
    turns = tuple(zip(contents[:-1:2], contents[1::2], strict=True))
    return contents[-1], system, turns


def _answer(cell: Any, name: str, where: str) -> str:
    if isinstance(cell, str):
        return cell
    fix = "An answer is a text, or a list of one message of the assistant."
    roles, contents = _roles(cell, where, fix)
    if roles != ("assistant",):
        raise DataError(f"The turns of {name} are {', '.join(roles) or 'none'}.", where=where, fix=fix)
    return contents[0]


def _roles(cell: Any, where: str, fix: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    roles, contents = [], []
    for message in cell if isinstance(cell, list) and cell else [None]:
        role, content = (message.get("role"), message.get("content")) if isinstance(message, Mapping) else (None, None)
        if not (isinstance(role, str) and isinstance(content, str)):
            raise DataError(f"{str(cell)[:60]!r} is neither a text nor messages.", where=where, fix=fix)
        roles.append(role)
        contents.append(content)
    return tuple(roles), tuple(contents)
