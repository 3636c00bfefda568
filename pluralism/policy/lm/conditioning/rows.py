"""Rows of generations: some of them, and those of several calls put together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pluralism.errors import UsageError
from pluralism.policy.lm.batched_generation import has_virtual_tokens
from pluralism.policy.lm.conditioning.step_log_probs import StepLogProbs
from pluralism.policy.lm.generations import Generations
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["gather_rows", "generate_apart", "generate_guided"]


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

    def written(mine: list[str], shown: Any, stream: RNG) -> Generations:
        return model.generate(mine, n=n, examples=shown, rng=stream, **options)

    return _in_parts(prompts, examples, written, rng)


def generate_guided(
    model: LanguageModel, prompts: Sequence[str], guidance: Any, *, n: int, rng: RNG, system: str | None, **options: Any
) -> Generations:
    """Answers under a logits processor, with the log-probabilities of the policy that it makes.

    Parameters
    ----------
    model : LanguageModel
        Under a tuned prompt, prompts of different lengths run apart, each length with a stream of its own.
    prompts : sequence of str
    guidance : LogitsProcessor
        One that knows rows by their tokens, not by their places.
    n : int
        Answers for each prompt.
    rng : int, numpy.random.Generator or None
    system : str, optional
    **options
        Of `LanguageModel.generate`.
    """
    apart = has_virtual_tokens(model.network)
    lengths = [len(model.prompt_tokens(prompt, system=system)) if apart else 0 for prompt in prompts]

    def written(mine: list[str], length: Any, stream: RNG) -> Generations:
        steps = StepLogProbs()
        made = model.generate(mine, n=n, system=system, processors=[guidance, steps], rng=stream, **options)
        return steps.into(made)

    return _in_parts(prompts, lengths, written, rng)


def _in_parts(
    prompts: Sequence[str],
    keys: Sequence[Hashable],
    written: Callable[[list[str], Any, RNG], Generations],
    rng: RNG,
) -> Generations:
    """Prompts of one key together, and their rows in the order of the prompts again."""
    if isinstance(prompts, str):
        raise UsageError("There are no prompts.", fix="Pass a list of texts.")
    parts: dict[Hashable, list[int]] = {}
    for k, key in enumerate(keys):
        parts.setdefault(key, []).append(k)
    if len(parts) <= 1:
        return written(list(prompts), next(iter(parts), ()), rng)
    seed = as_seed(rng)
    made = [
        written([prompts[k] for k in mine], key, np.random.default_rng([seed, stream]))
        for stream, (key, mine) in enumerate(parts.items())
    ]
    whole = Generations(
        prompts=tuple(prompts),
        prompt=np.concatenate([np.array(mine)[part.prompt] for part, mine in zip(made, parts.values(), strict=True)]),
        sample=np.concatenate([part.sample for part in made]),
        texts=tuple(text for part in made for text in part.texts),
        tokens=tuple(tokens for part in made for tokens in part.tokens),
        log_probs=np.concatenate([part.log_probs for part in made]),
        finished=np.concatenate([part.finished for part in made]),
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
