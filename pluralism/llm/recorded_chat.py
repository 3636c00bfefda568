"""A model whose answers are kept in a file: a job that was killed goes on without paying for a call twice."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np

from pluralism.errors import BudgetError, DataError, UsageError
from pluralism.files import LineLog
from pluralism.llm.chat_model import ChatModel, Weights
from pluralism.llm.options import Options
from pluralism.llm.request import Completion, RawCall, Request
from pluralism.llm.usage import Usage

__all__ = ["RecordedChat"]

_MILLION = 1e6
_ROUNDING = 1e-9


class RecordedChat(ChatModel):
    """Another model, with a record of its answers and a limit of what they may cost.

    An answer is in the record, durably, before it is given. The same request is answered from the record: it is known
    by a digest of everything that decides the answer, and of the model's name. Where the same request is made several
    times, as for samples without a seed, the second time gives the second answer, and so on. The record holds answers
    and digests, and nothing of what was asked.

    Parameters
    ----------
    model : ChatModel
    path : path-like
        The record, a file of JSON lines; its directory must exist. Several processes may share it, and then each
        sees what was there when it began.
    most_calls, most_tokens : int, optional
        What may be spent, over all runs with this record. A call is made where the dearest so far would still fit, one
        for each call under way included; so only a call dearer than all before can go beyond.
    prices : (float, float), optional
        Of a million tokens read, and written, in any currency.
    most_cost : float, optional
        What may be spent, in the currency of `prices`.

    Raises
    ------
    DataError
        The record is damaged.
    UsageError
        A limit or a price is below 0 or no number, or a cost has no prices.

    Examples
    --------
    >>> import tempfile
    >>> from pluralism.llm import ScriptedChat
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ask = [{"role": "user", "content": "Hello?"}]
    ...     first = RecordedChat(ScriptedChat(["Hello."]), f"{folder}/record.jsonl").chat(ask).text
    ...     again = RecordedChat(ScriptedChat([]), f"{folder}/record.jsonl").chat(ask).text
    >>> first == again
    True
    """

    def __init__(
        self,
        model: ChatModel,
        path: str | os.PathLike[str],
        *,
        most_calls: int | None = None,
        most_tokens: int | None = None,
        prices: tuple[float, float] | None = None,
        most_cost: float | None = None,
    ) -> None:
        super().__init__(model.name, timeout=model.timeout)
        if most_cost is not None and prices is None:
            raise UsageError("A cost needs prices.", fix="Pass prices=(of a million tokens read, and written).")
        limits = {"most_calls": most_calls, "most_tokens": most_tokens, "most_cost": most_cost}
        wrong = [f"{name}={value!r}" for name, value in limits.items() if value is not None and not value >= 0]
        if prices is not None and not all(np.isfinite(price) and price >= 0 for price in prices):
            wrong.append(f"prices={prices!r}")
        if wrong:
            raise UsageError(f"{wrong[0]} is no limit of what is spent.", fix="Use numbers of at least 0.")
        self.model, self.deterministic = model, model.deterministic
        self.most_calls, self.most_tokens, self.prices, self.most_cost = most_calls, most_tokens, prices, most_cost
        self._log = LineLog(path)
        self._asked: Counter[str] = Counter()
        self._working = threading.Lock()
        self._known: dict[tuple[str, int], dict[str, Any]] = {}
        self._recorded = Usage()
        self._untold = False
        self._dearest: dict[str, float] = {"calls": 1.0, "tokens": 0.0, "of cost": 0.0}
        self._under_way: set[object] = set()
        for number, line in enumerate(self._log.read(), 1):
            self._learn(self._read(line, number))

    def __repr__(self) -> str:
        return f"RecordedChat({self.model!r}, {len(self._known)} answers in {str(self._log.path)!r})"

    @property
    def recorded(self) -> Usage:
        """Calls and tokens of all answers in the record."""
        return self._recorded

    @property
    def cost(self) -> float:
        """What they cost; NaN without prices."""
        return self._cost_of(self._recorded)

    def complete(self, request: Request) -> Completion:
        """The answer in the record, or that of the model."""
        place = self._place("completion", request)
        known = self._answer(place)
        if known is not None:
            return _completion(known)
        with self._paying() as ticket:
            completion = self.model.complete(request)
            self._record(place, _document(completion), ticket)
        return completion

    def pieces(self, request: Request) -> Iterator[str | Completion]:
        """The answer in the record as one piece, or that of the model as it is written."""
        place = self._place("completion", request)
        known = self._answer(place)
        if known is not None:
            completion = _completion(known)
            yield completion.text
            yield completion
            return
        with self._paying() as ticket:
            for piece in self.model.pieces(request):
                if isinstance(piece, Completion):
                    self._record(place, _document(piece), ticket)
                yield piece

    def weigh(self, request: Request, options: Options) -> Weights | None:
        """The probabilities in the record, or those of the model."""
        place = self._place(f"weights {'|'.join(options.labels)}", request)
        known = self._answer(place)
        if known is not None:
            return _weights(known)
        with self._paying() as ticket:
            weights = self.model.weigh(request, options)
            if weights is not None:
                # minus infinity is no JSON
                logs = [None if value == -np.inf else value for value in weights.log_probabilities.tolist()]
                document = {
                    "logs": logs,
                    "method": weights.method,
                    "told": weights.told,
                    "usage": asdict(weights.usage),
                }
                self._record(place, document, ticket)
        return weights

    def close(self) -> None:
        """Close the model."""
        self.model.close()

    def _cost_of(self, usage: Usage) -> float:
        if self.prices is None:
            return float("nan")
        return (usage.prompt_tokens * self.prices[0] + usage.completion_tokens * self.prices[1]) / _MILLION

    def _place(self, kind: str, request: Request) -> tuple[str, int]:
        """Where an answer belongs: the request, and how often it was made before."""
        key = f"{self.name} {kind} {request.digest()}"
        with self._working:
            self._asked[key] += 1
            return key, self._asked[key]

    def _answer(self, place: tuple[str, int]) -> dict[str, Any] | None:
        with self._working:
            return self._known.get(place)

    @contextmanager
    def _paying(self) -> Iterator[object]:
        """Make a call, if it may be paid for; those under way count as if they were as dear as any so far."""
        with self._working:
            spent = self._recorded
            for what, limit, used in (
                ("calls", self.most_calls, spent.calls),
                ("tokens", self.most_tokens, spent.tokens),
                ("of cost", self.most_cost, self.cost),
            ):
                if limit is None:
                    continue
                if what != "calls" and self._untold:
                    raise BudgetError(
                        f"{self.name} does not tell how many tokens its answers take, so what is spent is not known.",
                        where=str(self._log.path),
                        fix="Limit the calls instead, and run it again: what is answered is kept.",
                    )
                dearest = self._dearest[what]
                if used >= limit or used + dearest * (len(self._under_way) + 1) > limit * (1 + _ROUNDING):
                    also = "" if what == "calls" else f"; another call may take {dearest:,.6g}"
                    raise BudgetError(
                        f"{self.name} has used {used:,.6g} {what}, and may use {limit:,.6g}{also}.",
                        where=str(self._log.path),
                        fix="Raise the limit and run it again: what is answered is kept.",
                    )
            ticket = object()
            self._under_way.add(ticket)
        try:
            yield ticket
        finally:
            with self._working:
                self._under_way.discard(ticket)

    def _record(self, place: tuple[str, int], document: dict[str, Any], ticket: object) -> None:
        entry = {"key": place[0], "n": place[1], **document}
        with self._working:
            self._log.append(json.dumps(entry, ensure_ascii=False, allow_nan=False).encode())
            self._learn(entry)
            self._under_way.discard(ticket)

    def _learn(self, entry: dict[str, Any]) -> None:
        self._known.setdefault((entry["key"], entry["n"]), entry)
        usage = Usage(**entry["usage"])
        self._recorded += usage
        self._untold = self._untold or (usage.calls > 0 and usage.tokens == 0)
        self._dearest["tokens"] = max(self._dearest["tokens"], usage.tokens)
        if self.prices is not None:
            self._dearest["of cost"] = max(self._dearest["of cost"], self._cost_of(usage))

    def _read(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry: dict[str, Any] = json.loads(line)
            _ = str(entry["key"]), int(entry["n"]), Usage(**entry["usage"]), _weights(entry) or _completion(entry)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise DataError(
                "This is no answer of a language model.",
                where=f"{self._log.path}, line {number}",
                fix="Restore the record from a copy, or remove this line; it is then paid for again.",
            ) from None
        return entry


def _document(completion: Completion) -> dict[str, Any]:
    return asdict(completion) | {"calls": [list(call) for call in completion.calls]}


def _completion(entry: dict[str, Any]) -> Completion:
    calls = tuple(RawCall(*call) for call in entry["calls"])
    return Completion(entry["text"], entry["finish"], Usage(), entry["model"], calls)


def _weights(entry: dict[str, Any]) -> Weights | None:
    if "logs" not in entry:
        return None
    logs = np.array([-np.inf if value is None else value for value in entry["logs"]])
    return Weights(logs, entry["method"], Usage(), told=bool(entry.get("told", True)))
