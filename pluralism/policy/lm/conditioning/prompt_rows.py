"""Which prompt each row of a batch has, and where in the row it stands: what a logits processor is not told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["PromptRows", "RowPlace"]


@dataclass(frozen=True)
class RowPlace:
    """Where a row's prompt stands.

    Attributes
    ----------
    prompt : int
        Which prompt.
    start, end : int
        Its first token, after the padding, and the first token after it.
    """

    prompt: int
    start: int
    end: int


class PromptRows:
    """Finds the prompts of rows that are padded on the left, by their tokens.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of str
    system : str, optional
        What stands before each, as it is given to `LanguageModel.generate`.
    """

    def __init__(self, model: LanguageModel, prompts: Sequence[str], *, system: str | None = None) -> None:
        self.pad = model.pad
        self.texts = tuple(prompts)
        self._known: dict[tuple[int, ...], tuple[int, int]] = {}
        for k, prompt in enumerate(self.texts):
            tokens = model.prompt_tokens(prompt, system=system)
            bare = self._bare(tokens)
            # A prompt may itself begin with the token that pads.
            self._known.setdefault(tuple(bare), (k, len(tokens) - len(bare)))
        self._lengths = sorted({len(tokens) for tokens in self._known}, reverse=True)

    def places(self, input_ids: Tensor) -> list[RowPlace]:
        """The place of each row's prompt.

        Raises
        ------
        UsageError
            A row continues none of the prompts.
        """
        found = []
        for row in input_ids.tolist():
            bare = self._bare(row)
            skipped = len(row) - len(bare)
            for length in self._lengths:
                known = self._known.get(tuple(bare[:length]))
                if known is not None:
                    found.append(RowPlace(known[0], skipped - known[1], skipped + length))
                    break
            else:
                raise UsageError(
                    "A row that is generated continues none of the prompts that the processor knows.",
                    fix="Give the processor the same prompts and system message as the generation.",
                )
        return found

    def _bare(self, tokens: Sequence[int]) -> Sequence[int]:
        start = next((k for k, token in enumerate(tokens) if token != self.pad), len(tokens))
        return tokens[start:]
