"""Rows of generations: some of them, and those of several calls put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pluralism.policy.lm.generations import Generations
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["gather_rows", "generate_apart"]


def generate_apart(
    model: LanguageModel,
    prompts: Sequence[str],
    examples: Sequence[tuple[tuple[str, str], ...]],
    *,
    n: int,
    rng: RNG,
    **options: Any,
) -> Generations:
    """Answers where each prompt has examples of its own: prompts with the same examples run together.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of str
    examples : sequence of sequences of (prompt, answer)
        For each prompt.
    n : int
        Answers for each prompt.
    rng : int, numpy.random.Generator or None
        Each set of examples has a stream of its own, unless there is one set.
    **options
        Of `LanguageModel.generate`.
    """
    sets: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for k, shown in enumerate(examples):
        sets.setdefault(shown, []).append(k)
    if len(sets) <= 1:
        return model.generate(prompts, n=n, examples=next(iter(sets), ()), rng=rng, **options)
    seed = as_seed(rng)
    parts = [
        model.generate(
            [prompts[k] for k in mine], n=n, examples=shown, rng=np.random.default_rng([seed, stream]), **options
        )
        for stream, (shown, mine) in enumerate(sets.items())
    ]
    whole = Generations(
        prompts=tuple(prompts),
        prompt=np.concatenate([np.array(mine)[part.prompt] for part, mine in zip(parts, sets.values(), strict=True)]),
        sample=np.concatenate([part.sample for part in parts]),
        texts=tuple(text for part in parts for text in part.texts),
        tokens=tuple(tokens for part in parts for tokens in part.tokens),
        log_probs=np.concatenate([part.log_probs for part in parts]),
        finished=np.concatenate([part.finished for part in parts]),
    )
    return gather_rows(whole, np.lexsort((whole.sample, whole.prompt)))


def gather_rows(generations: Generations, rows: ArrayLike, sample: ArrayLike | None = None) -> Generations:
    """Some rows, in the order given.

    Parameters
    ----------
    generations : Generations
    rows : int array
    sample : int array, optional
        Which of its prompt's samples each row is now; left out, as before.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    return Generations(
        prompts=generations.prompts,
        prompt=generations.prompt[chosen],
        sample=generations.sample[chosen] if sample is None else np.asarray(sample, dtype=np.int64),
        texts=tuple(generations.texts[row] for row in chosen),
        tokens=tuple(generations.tokens[row] for row in chosen),
        log_probs=generations.log_probs[chosen],
        finished=generations.finished[chosen],
    )
