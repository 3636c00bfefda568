r"""Preference data sets of TRL and Hugging Face, in and out.

Both kinds of preference data are read, with the prompt in a column of its own or at the beginning of both responses:

======== =================================================== =====================================================
kind     explicit prompt                                     implicit prompt
======== =================================================== =====================================================
standard prompt, chosen, rejected: texts                     chosen, rejected: texts that begin with the prompt
conver-  prompt, chosen, rejected: lists of messages         chosen, rejected: lists whose first messages are the
sational                                                     prompt
======== =================================================== =====================================================

An implicit prompt of texts is their longest common beginning, less a space at its end, as TRL takes it; of lists, the
common first messages. Conversations become texts by `pluralism.data.conversations`. Further columns are those of the
file contract (user, weight, group, time, source); TRL's `margin` is read as `strength`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from pluralism.data.arrays import refuse_rows
from pluralism.data.columns import require_columns
from pluralism.data.comparison_columns import comparisons_from_source, same_prompts
from pluralism.data.comparisons import Comparisons
from pluralism.data.conversations import as_messages, as_text, reads_back
from pluralism.data.faults import FaultLog
from pluralism.data.items import distinct_texts
from pluralism.data.optional_columns import arrow_labels, arrow_times
from pluralism.data.sources import RawColumn, Source, raw_column
from pluralism.errors import DataError, DataWarning, MissingExtraError, UsageError

if TYPE_CHECKING:
    import datasets

__all__ = ["common_prefix", "comparisons_from_trl", "dataset_of", "trl_table"]

_LONE = ("user", "assistant", "assistant")
_CONVERSATION = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_MESSAGES = "Write lists of messages, each with a role and a content that is text."
_CONTRACT = "TRL's preference data have the columns chosen and rejected, and perhaps prompt."


def comparisons_from_trl(
    source: Source,
    *,
    columns: Mapping[str, str] | None = None,
    user: str | None = None,
    strict: bool = True,
) -> Comparisons:
    """Read preference data; see `Comparisons.from_trl`."""
    source = source.renamed(columns)
    fixes = {"chosen": _CONTRACT}
    if "completion" in source and "label" in source:
        fixes = {"chosen": "These are unpaired preferences (completion, label): pair the completions of each prompt."}
    require_columns(source, ("chosen", "rejected"), _CONTRACT, fixes=fixes)
    if "user" not in source and user is None:
        warnings.warn(
            f"{source.name}: there is no column 'user', so all judgements are taken as those of one user, 'all'.",
            DataWarning,
            stacklevel=3,
        )
        user = "all"
    log = source.log()
    prompt, chosen, rejected = _texts(source, log)
    names = ("user", "weight", "group", "time", "source", "strength")
    kept = {name: source[name] for name in names if name in source}
    if "margin" in source and "strength" not in source:
        kept["strength"] = source["margin"]
    texts = {"prompt": raw_column(prompt), "chosen": raw_column(chosen), "rejected": raw_column(rejected)}
    source = replace(source, columns=kept | texts, metadata={})
    return comparisons_from_source(source, user=user, texts=True, strict=strict, log=log)


def trl_table(
    comparisons: Comparisons,
    *,
    prompt: Literal["explicit", "implicit"] = "explicit",
    conversational: bool = False,
    ties: Literal["error", "drop"] = "error",
) -> pa.Table:
    """Preference data as a table; see `Comparisons.to_trl`."""
    if prompt not in ("explicit", "implicit") or ties not in ("error", "drop"):
        raise UsageError(
            f"Unknown choice: prompt={prompt!r}, ties={ties!r}.",
            fix="prompt is 'explicit' or 'implicit', ties is 'error' or 'drop'.",
        )
    items = comparisons.items
    if items.texts is None:
        raise UsageError("These items have no texts to train on.", fix="Read the comparisons with items= that have.")
    comparisons = _without_ties(comparisons, ties)
    same_prompts(comparisons)
    equal = distinct_texts(items.texts, items.prompts)[0]
    refuse_rows(
        equal[comparisons.left] == equal[comparisons.right],
        "Two items with different ids have the same text",
        "Keep the rows in which the texts differ.",
    )
    won = comparisons.outcome > 0.5
    better = pa.array(np.where(won, comparisons.left, comparisons.right))
    worse = pa.array(np.where(won, comparisons.right, comparisons.left))
    asked = pa.nulls(len(items), pa.large_string()) if items.prompts is None else items.prompts
    columns = _response_columns(
        [text or "" for text in asked.take(better).to_pylist()],
        items.texts.take(better).to_pylist(),
        items.texts.take(worse).to_pylist(),
        prompt,
        conversational,
    )
    columns["user"] = comparisons.users.take(pa.array(comparisons.user))
    if np.any(comparisons.weight != 1):
        columns["weight"] = pa.array(comparisons.weight)
    for name, labelled, known in (
        ("group", comparisons.group, comparisons.groups),
        ("source", comparisons.source, comparisons.sources),
    ):
        if labelled is not None:
            columns[name] = arrow_labels(labelled, known)
    if comparisons.time is not None:
        columns["time"] = arrow_times(comparisons.time)
    if comparisons.strength is not None:
        columns["margin"] = pa.array(comparisons.strength, mask=np.isnan(comparisons.strength))
    return pa.table(columns)


def dataset_of(table: pa.Table) -> datasets.Dataset:
    """A Hugging Face data set of the table."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            "Hugging Face data sets need the package datasets.", fix="pip install 'pluralism[trl]'"
        ) from error
    return datasets.Dataset(table)


def common_prefix(chosen: str, rejected: str) -> int:
    """Length of an implicit prompt: the longest common beginning, less a space at its end.

    If one text is the beginning of the other, its last character is left to the responses, so that none is empty.

    Examples
    --------
    >>> common_prefix("The sky is blue.", "The sky is green.")
    10
    """
    low, high = 0, min(len(chosen), len(rejected))
    while low < high:
        middle = (low + high + 1) // 2
        if chosen[:middle] == rejected[:middle]:
            low = middle
        else:
            high = middle - 1
    if low == min(len(chosen), len(rejected)):
        return max(low - 1, 0)
    return low - 1 if low and chosen[low - 1] == " " else low


def _texts(source: Source, log: FaultLog) -> tuple[RawColumn, RawColumn, RawColumn]:
    """Prompt, chosen and rejected as texts."""
    sides = {name: source[name] for name in ("prompt", "chosen", "rejected") if name in source}
    if "prompt" in sides and not any(_holds_lists(column) for column in sides.values()):
        return sides["prompt"], sides["chosen"], sides["rejected"]
    columns = {name: column if isinstance(column, list) else column.to_pylist() for name, column in sides.items()}
    texts: list[tuple[str | None, ...]] = []
    ambiguous = 0
    for row in range(source.n_rows):
        try:
            parts = _parts({name: column[row] for name, column in columns.items()})
            texts.append(tuple(_text(part, lone) for part, lone in zip(parts, _LONE, strict=True)))
            ambiguous += not all(_is_faithful(part, lone) for part, lone in zip(parts, _LONE, strict=True))
        except (TypeError, ValueError) as error:
            texts.append((None, None, None))
            log.add(np.array([row]), "messages", "chosen", f"Not a conversation: {error}.", _MESSAGES)
    if ambiguous:
        warnings.warn(
            f"{source.name}: in {ambiguous:,} rows a message reads as if a new turn began in it, so that "
            "to_trl(conversational=True) would split it there.",
            DataWarning,
            stacklevel=2,
        )
    prompt, chosen, rejected = zip(*texts, strict=True) if texts else ((), (), ())
    return list(prompt), list(chosen), list(rejected)


def _parts(record: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Prompt, chosen and rejected of one row, each a text or a list of messages."""
    chosen, rejected = record["chosen"], record["rejected"]
    if chosen is None or rejected is None:
        raise ValueError("chosen or rejected is empty")
    if "prompt" in record:
        return record["prompt"] or None, chosen, rejected
    if isinstance(chosen, str) and isinstance(rejected, str):
        length = common_prefix(chosen, rejected)
        return chosen[:length] or None, chosen[length:], rejected[length:]
    if isinstance(chosen, str) or isinstance(rejected, str):
        raise ValueError("one of chosen and rejected is a text, the other a list of messages")
    shared = 0
    for mine, other in zip(chosen, rejected, strict=False):
        if (mine.get("role"), mine.get("content")) != (other.get("role"), other.get("content")):
            break
        shared += 1
    if shared == min(len(chosen), len(rejected)):
        raise ValueError("chosen and rejected are the same, or one is the beginning of the other")
    return chosen[:shared] or None, chosen[shared:], rejected[shared:]


def _text(part: Any, lone: str) -> str | None:
    if part is None or isinstance(part, str):
        return part
    if not isinstance(part, list) or not part or not all(isinstance(message, Mapping) for message in part):
        raise ValueError("expected a text or a list of messages")
    return as_text(part, lone)


def _is_faithful(part: Any, lone: str) -> bool:
    return part is None or isinstance(part, str) or reads_back(part, lone)


def _without_ties(comparisons: Comparisons, ties: str) -> Comparisons:
    tied = comparisons.outcome == 0.5
    n_ties = int(tied.sum())
    if n_ties and ties == "error":
        raise DataError(
            f"{n_ties:,} judgements are ties, which preference data of TRL cannot express.",
            where=f"row {int(np.argmax(tied)) + 1}",
            fix="Leave them out with to_trl(ties='drop').",
        )
    graded = int(((comparisons.outcome > 0) & (comparisons.outcome < 1) & ~tied).sum())
    if n_ties or graded:
        lost = [f"{n_ties:,} ties are left out"] * bool(n_ties)
        lost += [f"{graded:,} graded outcomes (such as 0.7) are rounded to 0 or 1"] * bool(graded)
        warnings.warn(
            f"Preference data of TRL know only chosen and rejected: {', and '.join(lost)}.",
            DataWarning,
            stacklevel=3,
        )
    return comparisons.take(~tied) if n_ties else comparisons


def _response_columns(
    prompts: list[str], better: list[str], worse: list[str], layout: str, conversational: bool
) -> dict[str, Any]:
    if not conversational:
        if layout == "explicit":
            return {"prompt": prompts, "chosen": better, "rejected": worse}
        return {
            "chosen": [prompt + text for prompt, text in zip(prompts, better, strict=True)],
            "rejected": [prompt + text for prompt, text in zip(prompts, worse, strict=True)],
        }
    asked = [as_messages(prompt, "user") if prompt else [] for prompt in prompts]
    chosen = [as_messages(text, "assistant") for text in better]
    rejected = [as_messages(text, "assistant") for text in worse]
    if layout == "implicit":
        chosen = [first + rest for first, rest in zip(asked, chosen, strict=True)]
        rejected = [first + rest for first, rest in zip(asked, rejected, strict=True)]
    columns = {"chosen": pa.array(chosen, _CONVERSATION), "rejected": pa.array(rejected, _CONVERSATION)}
    return columns if layout == "implicit" else {"prompt": pa.array(asked, _CONVERSATION), **columns}


def _holds_lists(raw: RawColumn) -> bool:
    if isinstance(raw, list):
        return any(isinstance(value, list) for value in raw)
    return bool(pa.types.is_nested(raw.type))
