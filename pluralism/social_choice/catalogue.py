"""The rules by name."""

from __future__ import annotations

from typing import Any

from pluralism.errors import UsageError
from pluralism.social_choice.approval import approval
from pluralism.social_choice.baldwin import baldwin, nanson
from pluralism.social_choice.borda import borda
from pluralism.social_choice.coombs import coombs
from pluralism.social_choice.copeland import copeland
from pluralism.social_choice.external import external
from pluralism.social_choice.instant_runoff import instant_runoff
from pluralism.social_choice.kemeny import kemeny
from pluralism.social_choice.maximal_lottery import maximal_lottery
from pluralism.social_choice.minimax import minimax
from pluralism.social_choice.plurality import plurality
from pluralism.social_choice.positional_scoring import dowdall, veto
from pluralism.social_choice.ranked_pairs import ranked_pairs
from pluralism.social_choice.rule import Rule
from pluralism.social_choice.schulze import schulze
from pluralism.social_choice.split_cycle import split_cycle

__all__ = ["find_rule", "rules"]

_RULES: tuple[Rule[Any], ...] = (
    approval,
    baldwin,
    borda,
    coombs,
    copeland,
    dowdall,
    instant_runoff,
    kemeny,
    maximal_lottery,
    minimax,
    nanson,
    plurality,
    ranked_pairs,
    schulze,
    split_cycle,
    veto,
)


def rules() -> dict[str, Rule[Any]]:
    """All rules of this package, by name."""
    return {each.name: each for each in _RULES}


def find_rule(name: str) -> Rule[Any]:
    """A rule by its name, such as "borda", or of another library, such as "pref_voting:Stable Voting".

    Raises
    ------
    UsageError
        If there is no such rule; the message lists those there are.
    MissingExtraError
        If it is of a library that is not installed.
    """
    if ":" in name:
        return external(name)
    known = rules()
    if name not in known:
        raise UsageError(f"There is no rule {name!r}.", fix=f"Rules are {', '.join(sorted(known))}.")
    return known[name]
