"""What comes back from a language model: a reply, a reply in pieces, a choice among options."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float64

from pluralism.errors import UsageError
from pluralism.llm.messages import ToolCall
from pluralism.llm.usage import Usage

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import BaseModel

__all__ = ["Choice", "Reply", "ReplyStream"]


@dataclass(frozen=True, repr=False)
class Reply:
    """A reply; its `repr` does not show what is said.

    Attributes
    ----------
    text : str
        As the model wrote it.
    value : pydantic.BaseModel or None
        The validated answer, where a schema was asked for.
    tool_calls : tuple of ToolCall
        Validated calls of the tools that were offered.
    finish : {"stop", "length", "tool_calls"}
        Why the model ended.
    usage : Usage
        Of this call, repairs included.
    repairs : int
        How often the model was told that its answer does not fit.
    model : str
        Which model answered, by the server's word.
    """

    text: str
    value: BaseModel | None
    tool_calls: tuple[ToolCall, ...]
    finish: Literal["stop", "length", "tool_calls"]
    usage: Usage
    repairs: int
    model: str

    def __repr__(self) -> str:
        kind = f", {type(self.value).__name__}" if self.value is not None else ""
        return f"Reply({len(self.text)} characters{kind}, finish={self.finish!r}, by {self.model!r})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as what JSON knows."""
        calls = [{"name": call.name, "arguments": call.arguments.model_dump(mode="json")} for call in self.tool_calls]
        return {
            "text": self.text,
            "value": None if self.value is None else self.value.model_dump(mode="json"),
            "tool_calls": calls,
            "finish": self.finish,
            "usage": asdict(self.usage),
            "repairs": self.repairs,
            "model": self.model,
        }

    def to_json(self) -> str:
        """The reply as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_frame(self) -> pa.Table:
        """One row; value and calls as JSON."""
        import pyarrow as pa

        fields = self.to_dict() | asdict(self.usage)
        del fields["usage"]
        for name in ("value", "tool_calls"):
            fields[name] = json.dumps(fields[name], ensure_ascii=False)
        return pa.table({name: [value] for name, value in fields.items()})


class ReplyStream(Iterator[str]):
    """The pieces of a reply's text, as they are written; `reply` holds the whole when they have ended.

    Leaving early costs no more than what was written: call `close`, or use it in a ``with`` block.

    Parameters
    ----------
    pieces : generator
        Yields texts.
    finished : callable
        Gives the whole reply; called once, after the last piece.
    """

    def __init__(self, pieces: Iterator[str], finished: Callable[[], Reply]) -> None:
        self._pieces, self._finished = pieces, finished
        self._reply: Reply | None = None

    def __next__(self) -> str:
        try:
            return next(self._pieces)
        except StopIteration:
            if self._reply is None:
                self._reply = self._finished()
            raise

    @property
    def reply(self) -> Reply:
        """The whole reply.

        Raises
        ------
        UsageError
            Before the last piece.
        """
        if self._reply is None:
            raise UsageError("The reply is not complete.", fix="Read all of the pieces first.")
        return self._reply

    def close(self) -> None:
        """Stop the model."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> ReplyStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class Choice:
    """How likely a model is to give each of some options as its answer.

    Attributes
    ----------
    options : tuple of str
    probabilities : array, shape (options,)
        Among the options; they sum to 1.
    mass : float
        Probability, in [0, 1], that the answer is one of the options at all, before that was given as certain. For
        sampled verdicts the share that could be read.
    method : {"exact", "logprobs", "sampled"}
        Scored by a local model, read off a server's token probabilities, or counted.
    samples : int
        Verdicts that were drawn; 0 for the other two.
    usage : Usage
    """

    options: tuple[str, ...]
    probabilities: Float64[np.ndarray, " options"]
    mass: float
    method: Literal["exact", "logprobs", "sampled"]
    samples: int
    usage: Usage

    @property
    def best(self) -> str:
        """The most likely option; the first of those that tie."""
        return self.options[int(np.argmax(self.probabilities))]

    def __repr__(self) -> str:
        shown = ", ".join(f"{o!r}: {p:.3g}" for o, p in zip(self.options, self.probabilities, strict=True))
        return f"Choice({{{shown}}}, method={self.method!r}, mass={self.mass:.3g})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as what JSON knows."""
        return {
            "options": list(self.options),
            "probabilities": self.probabilities.tolist(),
            "mass": self.mass,
            "method": self.method,
            "samples": self.samples,
            "usage": asdict(self.usage),
        }

    def to_json(self) -> str:
        """The choice as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_frame(self) -> pa.Table:
        """A row for each option."""
        import pyarrow as pa

        return pa.table({"option": list(self.options), "probability": self.probabilities})
