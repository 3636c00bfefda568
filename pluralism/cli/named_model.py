"""The language model that a command's options name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.llm import ChatModel

__all__ = ["NamedModel"]


@dataclass(frozen=True)
class NamedModel:
    """A server's model, one on this machine, or none.

    Parameters
    ----------
    llm, llm_model, api_key_env, local
        As on the command line.
    role : str
        What the command needs one of, such as "An audit has one judge."

    Raises
    ------
    UsageError
        If the options contradict each other.
    """

    llm: str | None
    llm_model: str | None
    api_key_env: str
    local: str | None
    role: str

    def __post_init__(self) -> None:
        if self.local is not None and (self.llm is not None or self.llm_model is not None):
            raise UsageError(self.role, where="--local", fix="Leave out --llm and --llm-model.")
        if self.llm is not None and self.llm_model is None:
            raise UsageError("Which model of that server?", where=f"--llm {self.llm}", fix="Add --llm-model NAME.")

    @property
    def named(self) -> bool:
        """Whether there is one."""
        return self.local is not None or self.llm_model is not None

    def open(self) -> ChatModel | None:
        """The model, not yet connected or loaded; None where none is named."""
        from pluralism.llm import OpenAIChat, TransformersChat

        if self.llm_model is not None:
            return OpenAIChat(self.llm_model, base_url=self.llm, api_key_env=self.api_key_env)
        return None if self.local is None else TransformersChat(self.local)
