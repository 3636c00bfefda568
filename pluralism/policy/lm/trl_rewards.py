"""Rewards as TRL's online trainers call them: texts or conversations, one number each, other columns passed through."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pluralism.data.conversations import as_text
from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.text_rewards import TextReward

__all__ = ["RewardFunction", "reward_function", "reward_functions"]

RewardFunction = Callable[..., list[float]]
"""Called as ``f(prompts=..., completions=..., **columns)``, with a `__name__` under which trainers log it."""


def reward_function(
    reward: TextReward, *, name: str | None = None, by: str | None = None, prompt: str | None = None
) -> RewardFunction:
    """A reward as a function for ``reward_funcs`` of GRPO, RLOO and other trainers.

    Conversations become texts as `Comparisons.from_trl` reads them; system messages, which say how a policy is
    conditioned and not what people were asked, are left out.

    Parameters
    ----------
    reward : TextReward
        Of one column, or with its columns combined; of several with `by`.
    name : str, optional
        Under which trainers log it; made from the names of the columns by default.
    by : str, optional
        A column of the data set that names, row by row, whose reward counts, such as "group": so that one policy,
        conditioned on the group, is rewarded by each group.
    prompt : str, optional
        A column of the data set with what people were asked, where the prompt has more in it, such as a template.

    Raises
    ------
    UsageError
        The reward has several columns, and nothing says how they become one number.

    Examples
    --------
    ::

        GRPOTrainer(model, reward_funcs=reward_functions(reward), args=GRPOConfig(reward_weights=[0.5, 0.5], ...), ...)
    """
    if by is None and reward.combination is None and len(reward.names) > 1:
        raise UsageError(
            f"This reward has {len(reward.names)} columns, and a trainer wants one number.",
            fix="Combine them with weighted() or welfare(), pass by='group', or use reward_functions for one each.",
        )
    if by is not None and reward.combination is not None:
        raise UsageError(f"A combined reward is the same for every {by}.", fix="Leave by= out.")

    def function(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        asked = [_asked(text) for text in (prompts if prompt is None else _column(columns, prompt, len(prompts)))]
        said = [_said(text) for text in completions]
        if by is None:
            return [float(value) for value in reward(asked, said)]
        places = {column: k for k, column in enumerate(reward.names)}
        whose = _column(columns, by, len(prompts))
        unknown = next((one for one in whose if one not in places), None)
        if unknown is not None:
            raise DataError(
                f"The column {by!r} names {unknown!r}, for whom there is no reward.",
                fix=f"There are rewards for {', '.join(map(repr, reward.names[:20]))}.",
            )
        found = reward.matrix(asked, said)
        return [float(found[row, places[one]]) for row, one in enumerate(whose)]

    function.__name__ = function.__qualname__ = _identifier(name or _described(reward, by))
    return function


def reward_functions(reward: TextReward, *, prompt: str | None = None) -> list[RewardFunction]:
    """One function for each column, for a trainer that weights them, as GRPO does by ``reward_weights``.

    They share the encoder and what it remembers, so a text is encoded once for all of them.

    Parameters
    ----------
    reward : TextReward
        Not combined.
    prompt : str, optional
        As in `reward_function`.
    """
    made = [_identifier(name) for name in reward.names]
    # Names may differ in marks alone, and what is logged under one name is one thing.
    called = [name if made.count(name) == 1 else f"{name}_{k}" for k, name in enumerate(made)]
    return [
        reward_function(reward.only(column), name=name, prompt=prompt)
        for column, name in zip(reward.names, called, strict=True)
    ]


def _described(reward: TextReward, by: str | None) -> str:
    if by is not None:
        return f"reward by {by}"
    if reward.combination == "least":
        return "least reward"
    return reward.names[0] if len(reward.names) == 1 else "welfare"


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_") or "reward"


def _column(columns: Mapping[str, Any], name: str, n: int) -> Sequence[Any]:
    found = columns.get(name)
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != n:
        raise DataError(
            f"The data have no column {name!r} that is passed to rewards.",
            where=f"columns: {', '.join(sorted(columns))}",
            fix="Keep the column in the data set, with remove_unused_columns=False where the trainer drops it.",
        )
    return found


def _asked(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return as_text([message for message in prompt if message.get("role") != "system"], "user")


def _said(completion: Any) -> str:
    return completion if isinstance(completion, str) else as_text(completion, "assistant")
