"""Conditioning by examples: answers that a group prefers stand as earlier turns before the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluralism.embeddings.encoder import Encoder
from pluralism.errors import UsageError
from pluralism.policy.lm.conditioning.conditioner import check_groups, known_group
from pluralism.policy.lm.conditioning.example_pool import ExamplePool
from pluralism.policy.lm.conditioning.rows import generate_apart

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.random import RNG

__all__ = ["InContext"]

_DEFAULT_BUDGET = 1024


@dataclass(frozen=True, eq=False)
class InContext:
    """One model, shown a few answers that the group prefers.

    Parameters
    ----------
    model : LanguageModel
    pools : mapping of str to ExamplePool
        By group.
    n_examples : int
        Before each prompt, at most.
    similarity : float
        From 0, the group's strongest preferences before every prompt, to 1, the examples most like the prompt; above 0
        it needs `encoder`.
    budget : int
        Tokens of the examples together, as the model's template writes them.
    encoder : Encoder, optional
    system : mapping of str to str, optional
        A system message for each group as well.
    name : str

    Raises
    ------
    UsageError
        There is no pool, a number cannot work, or similarity is asked for without an encoder.

    References
    ----------
    B. Y. Lin et al., "The unlocking spell on base LLMs: rethinking alignment via in-context learning",
    arXiv:2312.01552 (URIAL). There the examples are written by hand and the same for everybody.
    """

    model: LanguageModel
    pools: Mapping[str, ExamplePool]
    n_examples: int = 3
    similarity: float = 0.0
    budget: int = _DEFAULT_BUDGET
    encoder: Encoder | None = None
    system: Mapping[str, str] | None = None
    name: str = "in-context examples"

    def __post_init__(self) -> None:
        check_groups(tuple(self.pools))
        if self.n_examples < 1 or self.budget < 1 or not 0 <= self.similarity <= 1:
            raise UsageError(
                f"n_examples={self.n_examples!r}, budget={self.budget!r}, similarity={self.similarity!r} cannot work.",
                fix="Use one example and one token or more, and a similarity from 0 to 1.",
            )
        if self.similarity > 0 and self.encoder is None:
            raise UsageError("Similarity needs an encoder.", fix="Pass encoder=..., or similarity=0.")
        if self.system is not None and set(self.system) != set(self.pools):
            raise UsageError(
                "System messages and pools are of different groups.", fix="Give one of each to each group."
            )
        pools = dict(self.pools)
        if self.encoder is not None and self.similarity > 0:
            pools = {
                group: pool if pool.features is not None else pool.embedded(self.encoder)
                for group, pool in pools.items()
            }
        object.__setattr__(self, "pools", pools)

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that have a pool."""
        return tuple(self.pools)

    def examples(self, prompts: Sequence[str], group: str) -> tuple[tuple[tuple[str, str], ...], ...]:
        """What stands before each prompt; see `ExamplePool.choose`."""
        pool = self.pools[known_group(group, self.groups)]
        features = None
        if self.encoder is not None and self.similarity > 0:
            features = np.asarray(self.encoder.encode(tuple(prompts)))
        bare = len(self.model.prompt_tokens("?"))

        def n_tokens(prompt: str, response: str) -> int:
            return len(self.model.prompt_tokens("?", examples=[(prompt, response)])) - bare

        return tuple(
            pool.choose(
                prompt,
                self.n_examples,
                similarity=self.similarity,
                feature=None if features is None else features[k],
                n_tokens=n_tokens,
                budget=self.budget,
            )
            for k, prompt in enumerate(prompts)
        )

    def generate(
        self,
        prompts: Sequence[str],
        group: str,
        *,
        n: int = 1,
        max_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        rng: RNG = 0,
    ) -> Generations:
        """Answers after the group's examples; see `Conditioner.generate`."""
        return generate_apart(
            self.model,
            prompts,
            self.examples(prompts, group),
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            system=None if self.system is None else self.system[group],
            rng=rng,
        )
