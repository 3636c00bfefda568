"""From what groups want to a choice: profiles, rules that explain themselves, welfare, axioms, proportionality."""

from __future__ import annotations

# Not lazy: a rule has the name of its file, which a later import of the file would put in its place.
from pluralism.social_choice.approval import approval
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.axioms import audit, clone_sets, find_counterexample
from pluralism.social_choice.baldwin import baldwin, nanson
from pluralism.social_choice.borda import borda
from pluralism.social_choice.catalogue import committee_rules, find_rule, rules
from pluralism.social_choice.choose_by_welfare import choose_by_welfare
from pluralism.social_choice.coombs import coombs
from pluralism.social_choice.copeland import copeland
from pluralism.social_choice.distortion import realised_distortion, worst_case_distortion
from pluralism.social_choice.equal_shares import equal_shares
from pluralism.social_choice.greedy_bjr import check_balanced_representation, greedy_bjr
from pluralism.social_choice.instant_runoff import instant_runoff
from pluralism.social_choice.justified_representation import check_representation, proportionality
from pluralism.social_choice.kemeny import KemenyConsensus, kemeny, kemeny_consensus
from pluralism.social_choice.maximal_lottery import maximal_lottery
from pluralism.social_choice.meek import meek
from pluralism.social_choice.minimax import minimax
from pluralism.social_choice.outcome import CommitteeOutcome, Explanation, Lottery, Outcome
from pluralism.social_choice.pav import pav
from pluralism.social_choice.plurality import plurality
from pluralism.social_choice.polis_consensus import polis_consensus
from pluralism.social_choice.positional_scoring import dowdall, positional_rule, veto
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.ranked_pairs import ranked_pairs
from pluralism.social_choice.rule import Rule
from pluralism.social_choice.schulze import schulze
from pluralism.social_choice.sequential_pav import sequential_pav
from pluralism.social_choice.sequential_phragmen import sequential_phragmen
from pluralism.social_choice.single_transferable_vote import single_transferable_vote
from pluralism.social_choice.split_cycle import split_cycle
from pluralism.social_choice.utilities import Utilities

__all__ = [
    "ApprovalProfile",
    "CommitteeOutcome",
    "Explanation",
    "KemenyConsensus",
    "Lottery",
    "Outcome",
    "Profile",
    "Rule",
    "Utilities",
    "approval",
    "audit",
    "baldwin",
    "borda",
    "check_balanced_representation",
    "check_representation",
    "choose_by_welfare",
    "clone_sets",
    "committee_rules",
    "coombs",
    "copeland",
    "dowdall",
    "equal_shares",
    "find_counterexample",
    "find_rule",
    "greedy_bjr",
    "instant_runoff",
    "kemeny",
    "kemeny_consensus",
    "maximal_lottery",
    "meek",
    "minimax",
    "nanson",
    "pav",
    "plurality",
    "polis_consensus",
    "positional_rule",
    "proportionality",
    "ranked_pairs",
    "realised_distortion",
    "rules",
    "schulze",
    "sequential_pav",
    "sequential_phragmen",
    "single_transferable_vote",
    "split_cycle",
    "veto",
    "worst_case_distortion",
]
