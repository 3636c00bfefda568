"""From what groups want to a choice: profiles, rules that explain themselves, welfare, axioms, proportionality."""

from __future__ import annotations

# Not lazy: a rule has the name of its file, which a later import of the file would put in its place.
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.borda import borda
from pluralism.social_choice.catalogue import find_rule, rules
from pluralism.social_choice.outcome import CommitteeOutcome, Explanation, Lottery, Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Rule
from pluralism.social_choice.utilities import Utilities

__all__ = [
    "ApprovalProfile",
    "CommitteeOutcome",
    "Explanation",
    "Lottery",
    "Outcome",
    "Profile",
    "Rule",
    "Utilities",
    "borda",
    "find_rule",
    "rules",
]
