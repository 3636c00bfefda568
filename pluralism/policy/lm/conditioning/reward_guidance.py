"""Reward-guided decoding: each next token is weighed by where it leads, in the eyes of a reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int

from pluralism.errors import UsageError
from pluralism.models.settings import is_whole
from pluralism.policy.lm.batched_generation import Sampling, continue_tokens
from pluralism.policy.lm.conditioning.prompt_rows import PromptRows
from pluralism.policy.lm.conditioning.reward_calls import Reward, rewarded

if TYPE_CHECKING:
    from torch import Tensor

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["Others", "RewardGuidance", "check_guidance"]

Others = Literal["dropped", "kept"]


class RewardGuidance:
    r"""A logits processor that adds a reward of what each candidate token leads to.

    Of each row the `top_k` likeliest tokens are candidates. Each is put behind what is written so far and continued
    greedily by `lookahead` tokens; the reward scores all these texts of all rows in one call, and the score of a
    candidate y is

    .. math:: \log \pi(y \mid x, y_{<t}) + \lambda\, r(x, y_{<t} \cdot y \cdot \text{lookahead}).

    Samples of a prompt that have written the same so far share their candidates and rewards. Rewards count as
    differences within a step, so a constant for each prompt, which rewards learnt from comparisons lack, falls out.

    It is a processor of transformers: pass it to `LanguageModel.generate`, or in ``logits_processor=[...]``.

    Parameters
    ----------
    model : LanguageModel
        Writes the lookahead; the one that generates.
    prompts : sequence of str
        What the generation is given.
    reward : reward
        Called as ``reward(prompts, responses)``; a number for each row. Without lookahead it judges unfinished texts.
    strength : float
        :math:`\lambda`, in nats for a unit of reward; at 0 the model is left as it is.
    top_k : int
        Candidates of each step.
    lookahead : int
        Tokens behind a candidate, fewer where the answer ends.
    others : {"dropped", "kept"}
        Tokens that are no candidates are impossible, or keep the probability that the model gives them: then only the
        mass of the candidates is moved, and a small strength makes a small difference.
    system : str, optional
        As the generation is given it.

    Attributes
    ----------
    calls, scored : int
        Calls of the reward so far, and the rows in them.

    References
    ----------
    J. Y. Huang et al., "DeAL: decoding-time alignment for large language models", arXiv:2402.06147.
    """

    def __init__(
        self,
        model: LanguageModel,
        prompts: Sequence[str],
        reward: Reward,
        *,
        strength: float = 1.0,
        top_k: int = 8,
        lookahead: int = 8,
        others: Others = "dropped",
        system: str | None = None,
    ) -> None:
        check_guidance(strength, top_k, lookahead, others)
        self.model, self.reward = model, reward
        self.strength, self.top_k, self.lookahead = strength, top_k, lookahead
        self.others: Others = others
        self.calls = self.scored = 0
        self._rows = PromptRows(model, prompts, system=system)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores of the next token, in nats."""
        if self.strength == 0:
            return scores
        log_probs = torch.log_softmax(scores.float(), dim=-1)
        places = self._rows.places(input_ids)
        states: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for row, (ids, place) in enumerate(zip(input_ids.tolist(), places, strict=True)):
            written = tuple(ids[place.end :])
            if not self.model.ends.intersection(written):
                states.setdefault((place.prompt, written), []).append(row)
        if not states:
            return scores
        first = [rows[0] for rows in states.values()]
        top = log_probs[first].topk(min(self.top_k, scores.shape[1]), dim=1)
        prefixes = [input_ids[row, places[row].start : places[row].end].tolist() for row in first]
        values = self._values(list(states), prefixes, top.indices.cpu().numpy())
        tilt = torch.tensor(self.strength * values, dtype=log_probs.dtype, device=log_probs.device)
        guided = top.values + tilt
        if self.others == "kept":
            guided += top.values.logsumexp(1, keepdim=True) - guided.logsumexp(1, keepdim=True)
        made = log_probs[first] if self.others == "kept" else torch.full_like(log_probs[first], -torch.inf)
        made.scatter_(1, top.indices, guided)
        result = scores.float().clone()
        for k, rows in enumerate(states.values()):
            result[rows] = made[k]
        return result

    def _values(
        self,
        states: Sequence[tuple[int, tuple[int, ...]]],
        prefixes: Sequence[list[int]],
        candidates: Int[np.ndarray, "states candidates"],
    ) -> Float[np.ndarray, "states candidates"]:
        """Reward of each candidate of each state."""
        asked = [self._rows.texts[prompt] for prompt, _ in states for _ in range(candidates.shape[1])]
        said = [
            (*written, int(token)) for (_, written), tokens in zip(states, candidates, strict=True) for token in tokens
        ]
        before = [prefix for prefix in prefixes for _ in range(candidates.shape[1])]
        texts = [self.model.decode(tokens) for tokens in self._continued(before, said)]
        values = rewarded(self.reward, asked, texts)
        self.calls, self.scored = self.calls + 1, self.scored + len(texts)
        return values.reshape(candidates.shape)

    def _continued(self, prompts: Sequence[list[int]], written: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        longest = max(len(prompt) + len(tokens) for prompt, tokens in zip(prompts, written, strict=True))
        ahead = min(self.lookahead, self.model.limit - longest)
        going = [k for k, tokens in enumerate(written) if tokens[-1] not in self.model.ends]
        if ahead < 1 or not going:
            return written
        tokens, _ = continue_tokens(
            self.model.network,
            [[*prompts[k], *written[k]] for k in going],
            Sampling(ahead, temperature=0.0),
            ends=self.model.ends,
            pad=self.model.pad,
            processors=(),
            generator=np.random.default_rng(0),
            batch_size=None,
            progress=_silent,
        )
        whole = list(written)
        for k, more in zip(going, tokens, strict=True):
            whole[k] = (*written[k], *more)
        return whole


def check_guidance(strength: float, top_k: int, lookahead: int, others: str) -> None:
    """Refuse settings that cannot work.

    Raises
    ------
    UsageError
    """
    if not np.isfinite(strength) or not is_whole(top_k) or not is_whole(lookahead, least=0):
        raise UsageError(
            f"strength={strength!r}, top_k={top_k!r} or lookahead={lookahead!r} is not possible.",
            fix="The strength is finite, candidates are one or more, and the lookahead is a number of tokens.",
        )
    if others not in get_args(Others):
        raise UsageError(f"others={others!r} is not possible.", fix='It is "dropped" or "kept".')


def _silent(done: int, total: int) -> None:
    """Rollouts show no progress of their own."""
