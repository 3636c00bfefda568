"""Training on several responses at once: what the losses of rankings, levels and principles have in common."""

from __future__ import annotations

import functools
import itertools
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.extras import require
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.recipes.quiet_trainer import quiet_trainer
from pluralism.policy.lm.recipes.recipe import Recipe
from pluralism.policy.lm.recipes.training_rows import answered, token_rows
from pluralism.policy.lm.trl_names import trl_name

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["ListBatch", "ListRecipe", "list_trainer", "lists_of", "prompts_of"]

_EXAMPLES = "n_rows"
_FACTS = "fact."


@dataclass(frozen=True, eq=False)
class ListBatch:
    """What a loss sees: for each example the log-probabilities of its responses, those of short lists filled with 0.

    Attributes
    ----------
    total, n_tokens : tensors of shape (examples, responses)
        Log-probability of the whole response under the policy, and its tokens; 1 where there is none.
    reference : tensor of shape (examples, responses) or None
        The log-probability under the reference, for losses that compare.
    n_rows : int tensor of shape (examples,)
        Responses of each example.
    facts : dict of str to tensor of shape (examples, responses)
        Columns of numbers beside the responses.
    """

    total: Any
    n_tokens: Any
    reference: Any
    n_rows: Any
    facts: dict[str, Any]

    @property
    def mean(self) -> Any:
        """Mean log-probability of a token."""
        return self.total / self.n_tokens

    @property
    def there(self) -> Any:
        """Where there is a response."""
        return torch.arange(self.total.shape[1], device=self.total.device) < self.n_rows[:, None]


def list_trainer(loss: Callable[[ListBatch], Any], *, compares: bool, facts: Sequence[str]) -> type:
    """TRL's trainer of pairs with another loss, on lists of responses in the place of pairs.

    Weights, adapters, the reference and the log-probabilities of tokens are TRL's; what differs is how a batch is laid
    out, and the loss.

    Parameters
    ----------
    loss : callable
        Takes a `ListBatch`, gives one loss for each example.
    compares : bool
        Whether the loss needs log-probabilities under the reference.
    facts : sequence of str
        Columns of numbers that the loss needs.
    """
    base: Any = quiet_trainer(trl_name("DPOTrainer"))

    def build(self: Any, *, processing_class: Any, **options: Any) -> None:
        collator = functools.partial(collate, pad=int(processing_class.pad_token_id), facts=tuple(facts))
        base.__init__(self, processing_class=processing_class, data_collator=collator, **options)

    def columns(self: Any) -> None:
        self._signature_columns = ["prompt_ids", "response_ids", *facts]

    def compute(self: Any, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        rows = {name: inputs[name] for name in ("input_ids", "attention_mask", "completion_mask")}
        mask = rows["completion_mask"]
        labels = rows["input_ids"].masked_fill(mask == 0, -100)
        output = model(
            input_ids=rows["input_ids"],
            attention_mask=rows["attention_mask"],
            labels=labels,
            use_cache=False,
            fused_lm_head=True,
        )
        # Prompt tuning puts virtual tokens before the real ones.
        total = output.log_probs[:, -(mask.shape[1] - 1) :].sum(1)
        reference = None
        if compares:
            reference = torch.cat(self.compute_ref_log_probs(self.ref_model or self.model, rows))
        n_rows = inputs[_EXAMPLES]
        place = torch.arange(int(n_rows.max()), device=n_rows.device) < n_rows[:, None]

        def spread(values: Any, fill: float) -> Any:
            return torch.full(place.shape, fill, dtype=values.dtype, device=values.device).masked_scatter(place, values)

        batch = ListBatch(
            total=spread(total, 0.0),
            n_tokens=spread(mask.sum(1).to(total.dtype), 1.0),
            reference=None if reference is None else spread(reference, 0.0),
            n_rows=n_rows,
            facts={name: spread(inputs[f"{_FACTS}{name}"].to(total.dtype), 0.0) for name in facts},
        )
        value = loss(batch).mean()
        return (value, output) if return_outputs else value

    methods = {"__init__": build, "_set_signature_columns_if_needed": columns, "_compute_loss": compute}
    return type("ListTrainer", (base,), methods)


def collate(examples: Sequence[dict[str, Any]], *, pad: int, facts: Sequence[str]) -> dict[str, Any]:
    """The responses of all examples below each other, right-padded.

    The first tensor has one entry for each example, by which the trainer counts them.
    """
    rows = [
        (prompt, said)
        for each in examples
        for prompt, said in zip(each["prompt_ids"], each["response_ids"], strict=True)
    ]
    longest = max(len(prompt) + len(said) for prompt, said in rows)

    def padded(parts: Callable[[list[int], list[int]], list[int]], fill: int) -> Any:
        filled = [parts(*row) for row in rows]
        return torch.tensor([row + [fill] * (longest - len(row)) for row in filled])

    batch = {
        _EXAMPLES: torch.tensor([len(each["response_ids"]) for each in examples]),
        "input_ids": padded(lambda prompt, said: prompt + said, pad),
        "attention_mask": padded(lambda prompt, said: [1] * (len(prompt) + len(said)), 0),
        "completion_mask": padded(lambda prompt, said: [0] * len(prompt) + [1] * len(said), 0),
    }
    for name in facts:
        batch[f"{_FACTS}{name}"] = torch.tensor([float(x) for each in examples for x in each[name]])
    return batch


@dataclass(frozen=True, kw_only=True)
class ListRecipe(Recipe):
    """A recipe whose rows have a prompt and a list of responses, and perhaps numbers beside them.

    See `Recipe` for what all recipes have.
    """

    facts: ClassVar[tuple[str, ...]] = ()
    """Columns of numbers that the loss needs."""
    compares: ClassVar[bool] = True
    """Whether the loss compares with a reference."""
    rates: ClassVar[tuple[float, float]] = (1e-6, 1e-5)

    @abstractmethod
    def _losses(self, batch: ListBatch) -> Any:
        """The loss of each example."""

    @abstractmethod
    def _lists(self, model: LanguageModel, source: Source) -> tuple[list[Any], list[list[str]], dict[str, list[Any]]]:
        """For each example the tokens of the prompt of each response, the responses, and the facts."""

    def _trl_names(self) -> tuple[str, str]:
        return "DPOTrainer", "DPOConfig"

    def _options(self) -> dict[str, Any]:
        return {}

    def _trainer_class(self) -> type:
        return list_trainer(self._losses, compares=self.compares, facts=self.facts)

    def loss(
        self,
        model: LanguageModel,
        data: Any,
        *,
        group: str | None = None,
        reference: LanguageModel | None = None,
    ) -> float:
        """The loss of a policy on data; see `Recipe.loss`. Losses that compare with no reference take none."""
        if not self.compares:
            self._refuse(reference)
            # The trainer has one all the same, which it does not read.
            reference = replace(model, network=Adapter.base_of(model.network))
        return super().loss(model, data, group=group, reference=reference)

    def _refuse(self, reference: LanguageModel | None) -> None:
        if reference is not None:
            raise UsageError(f"The recipe {self.name!r} compares with no reference.", fix="Leave the reference out.")

    def _reference(self, model: LanguageModel, reference: LanguageModel | None) -> Any:
        if not self.compares:
            self._refuse(reference)
        return super()._reference(model, reference)

    def _rows(self, model: LanguageModel, source: Source) -> Any:
        datasets = require("datasets", extra="lm", purpose=f"The recipe {self.name!r}")
        asked, texts, facts = self._lists(model, source)
        limit = model.limit if self.max_tokens is None else min(self.max_tokens, model.limit)
        long = next((k for k, each in enumerate(asked) if max(map(len, each)) >= limit), None)
        if long is not None:
            raise DataError(
                f"A prompt has {limit:,} tokens or more, which leaves none for a response.",
                where=f"{source.name}, row {long + 1}",
                fix="Raise max_tokens where the model reads more, or leave the row out.",
            )
        known = {text: model.response_tokens(text) for text in set(itertools.chain.from_iterable(texts))}
        whole = [[known[text] for text in each] for each in texts]
        said = [
            [tokens[: limit - len(prompt)] for prompt, tokens in zip(*row, strict=True)]
            for row in zip(asked, whole, strict=True)
        ]
        n_cut = sum(len(a) < len(b) for x, y in zip(said, whole, strict=True) for a, b in zip(x, y, strict=True))
        if n_cut:
            warnings.warn(
                f"{n_cut:,} responses have more tokens than {limit:,} beside their prompt, and are cut at their end.",
                DataWarning,
                stacklevel=4,
            )
        return datasets.Dataset.from_dict({"prompt_ids": asked, "response_ids": said, **facts})


def prompts_of(model: LanguageModel, source: Source) -> list[list[int]]:
    """Tokens of the prompt of each row, with its system message where there is one.

    Raises
    ------
    DataError
        A prompt is no text or messages, or leaves no token for a response.
    """
    return token_rows(model, answered(source, ()), source.name, max_tokens=None)[0]


def lists_of(source: Source, name: str, kind: type | tuple[type, ...], *, least: int = 1) -> list[list[Any]]:
    """A column of lists.

    Raises
    ------
    DataError
        A cell is no list, too short, or holds something of another kind.
    """
    cells = source[name]
    found = []
    for row, cell in enumerate(cells if isinstance(cells, list) else cells.to_pylist()):
        good = isinstance(cell, (list, tuple)) and len(cell) >= least
        if not good or not all(isinstance(x, kind) and not isinstance(x, bool) and x == x for x in cell):
            wanted = "texts" if kind is str else "numbers"
            raise DataError(
                f"{name} is {str(cell)[:60]!r}.",
                where=f"{source.name}, row {row + 1}",
                fix=f"Give a list of {wanted}, {least} at least.",
            )
        found.append(list(cell))
    return found
