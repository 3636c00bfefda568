"""Conditioning by words: each group's system message stands before the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralism.errors import UsageError
from pluralism.policy.lm.conditioning.conditioner import check_groups, known_group
from pluralism.policy.lm.conditioning.system_message import SystemMessage

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.random import RNG

__all__ = ["SystemPrompted"]


@dataclass(frozen=True, eq=False)
class SystemPrompted:
    """One model, told what each group wants.

    Parameters
    ----------
    model : LanguageModel
        One that heeds system messages: trained on them, or instruction-tuned.
    messages : mapping of str to SystemMessage or str
        By group.
    name : str

    Raises
    ------
    UsageError
        There is no message, or a key is no name of a group.

    References
    ----------
    S. Lee et al., "Aligning to thousands of preferences via system message generalization", arXiv:2405.17977 (Janus).
    """

    model: LanguageModel
    messages: Mapping[str, SystemMessage | str]
    name: str = "system messages"

    def __post_init__(self) -> None:
        check_groups(tuple(self.messages))
        made = {
            group: message if isinstance(message, SystemMessage) else SystemMessage((message,))
            for group, message in self.messages.items()
        }
        object.__setattr__(self, "messages", made)

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that have a message."""
        return tuple(self.messages)

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
        """Answers under the group's message; see `Conditioner.generate`."""
        return self.model.generate(
            prompts,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            system=self.message(group).text,
            rng=rng,
        )

    def message(self, group: str) -> SystemMessage:
        """What the model is told for a group."""
        message = self.messages[known_group(group, self.groups)]
        return message if isinstance(message, SystemMessage) else SystemMessage((message,))

    def paraphrased(self) -> tuple[SystemPrompted, ...]:
        """The same conditioning in every other wording: conditioning that serves a group does so in all of them.

        Raises
        ------
        UsageError
            A message is free text.
        """
        wordings = {group: self.message(group).paraphrases() for group in self.groups}
        n = min(len(made) for made in wordings.values())
        if n == 0:
            raise UsageError("There are no other wordings.", fix="Give messages with several.")
        return tuple(
            SystemPrompted(
                self.model, {group: made[k] for group, made in wordings.items()}, f"{self.name}, paraphrase {k + 1}"
            )
            for k in range(n)
        )
