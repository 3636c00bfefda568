"""The language models that judge in `pluralism audit`: asked through a record of their answers, within limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.cli.named_model import NamedModel
    from pluralism.llm import ChatModel, RecordedChat

__all__ = ["RECORD", "Judge"]

RECORD = "judge.jsonl"


class Judge(AbstractContextManager["Judge"]):
    """The language model that was named, if any, and other models of its server; each is loaded when first asked.

    Parameters
    ----------
    named : NamedModel
    record, out : Path, optional
        Where their answers are kept.
    limits : mapping
        `price`, `most_cost`, `most_calls`, of all models together.
    asking : mapping
        Keywords of `judge_preferences`.

    Raises
    ------
    UsageError
        If a limit cannot be.
    """

    def __init__(
        self,
        named: NamedModel,
        record: Path | None,
        out: Path | None,
        limits: Mapping[str, Any],
        asking: Mapping[str, Any],
    ) -> None:
        self.who = named
        self.record = out / RECORD if record is None and out is not None else record
        self.asking = dict(asking)
        self.limits = _limits(limits)
        if (self.limits["most_cost"] is not None or self.limits["most_calls"] is not None) and self.record is None:
            raise UsageError(
                "What was spent is counted in a record of the answers, and there is none.",
                where="--most-cost, --most-calls",
                fix="Add --record FILE.jsonl, or --out DIR.",
            )
        self._models: dict[str | None, ChatModel] = {}
        self._recorded: RecordedChat | None = None

    def __exit__(self, *_: object) -> None:
        for model in self._models.values():
            model.close()

    def plain(self, name: str | None = None) -> ChatModel:
        """The model itself, or another one of the same server.

        Raises
        ------
        UsageError
            If none is named, or there is no server for the other one.
        """
        if name is not None and self.who.llm_model is None:
            raise UsageError(
                f"{name!r} would be another model of a server, and no server is named.",
                where=f"--annotator judge:{name}",
                fix="Add --llm URL --llm-model NAME.",
            )
        if name not in self._models:
            opened = (self.who if name is None else replace(self.who, llm_model=name)).open()
            if opened is None:
                raise UsageError(
                    "Nobody is named who could judge.", fix="Add --llm URL --llm-model NAME, or --local MODEL."
                )
            self._models[name] = opened
        return self._models[name]

    def model(self, name: str | None = None) -> ChatModel:
        """The model, with its answers kept where there is a record; what others spent meanwhile counts."""
        plain = self.plain(name)
        if self.record is None:
            return plain
        from pluralism.llm import RecordedChat

        self.record.parent.mkdir(parents=True, exist_ok=True)
        self._recorded = RecordedChat(plain, self.record, **self.limits)
        return self._recorded

    def spent(self) -> dict[str, Any] | None:
        """Calls, tokens and cost of all runs with this record; None without a judge."""
        if not self._models:
            return None
        models = list(self._models.values())
        names = ", ".join(model.name for model in models)
        if self._recorded is None:
            calls, tokens = (sum(getattr(model.usage, count) for model in models) for count in ("calls", "tokens"))
            return {"name": names, "calls": calls, "tokens": tokens, "cost": None}
        usage = self._recorded.recorded
        cost = None if self._recorded.prices is None else self._recorded.cost
        return {"name": names, "calls": usage.calls, "tokens": usage.tokens, "cost": cost}


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    price = given["price"]
    prices = None
    if price is not None:
        try:
            read, written = (float(part) for part in price.split(","))
            prices = (read, written)
        except ValueError:
            prices = (-1.0, -1.0)
        if not all(math.isfinite(value) and value >= 0 for value in prices):
            raise UsageError(f"{price!r} is no pair of prices.", where="--price", fix="Write such as --price 0.5,1.5.")
    if given["most_cost"] is not None and prices is None:
        raise UsageError("A cost needs prices.", where="--most-cost", fix="Add --price READ,WRITTEN.")
    return {"prices": prices, "most_cost": given["most_cost"], "most_calls": given["most_calls"]}
