"""What language models were asked for: calls and tokens."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Usage"]


@dataclass(frozen=True)
class Usage:
    """Calls and tokens, as the server or the tokenizer counts them; two of them can be added.

    Attributes
    ----------
    calls : int
        Answers that a model gave, repaired ones included.
    prompt_tokens, completion_tokens : int
        Zero where a server does not say.

    Examples
    --------
    >>> Usage(1, 120, 30) + Usage(1, 80, 10)
    Usage(calls=2, prompt_tokens=200, completion_tokens=40)
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    def to_frame(self) -> pa.Table:
        """One row with a column for each count."""
        import pyarrow as pa

        return pa.table({name: [value] for name, value in asdict(self).items()})

    def to_json(self) -> str:
        """The counts by name."""
        return json.dumps(asdict(self))
