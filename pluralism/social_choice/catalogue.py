"""The rules by name."""

from __future__ import annotations

from typing import Any

from pluralism.errors import UsageError
from pluralism.social_choice.approval import approval
from pluralism.social_choice.baldwin import baldwin, nanson
from pluralism.social_choice.borda import borda
from pluralism.social_choice.coombs import coombs
from pluralism.social_choice.copeland import copeland
from pluralism.social_choice.equal_shares import equal_shares
from pluralism.social_choice.external import external
from pluralism.social_choice.instant_runoff import instant_runoff
from pluralism.social_choice.kemeny import kemeny
from pluralism.social_choice.maximal_lottery import maximal_lottery
from pluralism.social_choice.meek import meek
from pluralism.social_choice.minimax import minimax
from pluralism.social_choice.pav import pav
from pluralism.social_choice.plurality import plurality
from pluralism.social_choice.positional_scoring import dowdall, veto
from pluralism.social_choice.ranked_pairs import ranked_pairs
from pluralism.social_choice.rule import Rule
from pluralism.social_choice.schulze import schulze
from pluralism.social_choice.sequential_pav import sequential_pav
from pluralism.social_choice.sequential_phragmen import sequential_phragmen
from pluralism.social_choice.single_transferable_vote import single_transferable_vote
from pluralism.social_choice.split_cycle import split_cycle

__all__ = ["committee_rules", "find_rule", "rules"]

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

_COMMITTEE_RULES: tuple[Rule[Any], ...] = (
    equal_shares,
    meek,
    pav,
    sequential_pav,
    sequential_phragmen,
    single_transferable_vote,
)


def rules() -> dict[str, Rule[Any]]:
    """All rules of this package that choose one candidate, by name."""
    return {each.name: each for each in _RULES}


def committee_rules() -> dict[str, Rule[Any]]:
    """All rules of this package that fill a number of seats, by name."""
    return {each.name: each for each in _COMMITTEE_RULES}


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
    known = rules() | committee_rules()
    if name not in known:
        raise UsageError(f"There is no rule {name!r}.", fix=f"Rules are {', '.join(sorted(known))}.")
    return known[name]
