"""Approval voting: whoever the most ballots approve."""

from __future__ import annotations

from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.majority import voters
from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.scores import named_scores, outcome_of_scores

__all__ = ["approval"]


@rule(
    "approval",
    takes=ApprovalProfile,
    source="S. J. Brams and P. C. Fishburn, Approval Voting, APSR 1978",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "monotonicity": True,
        "participation": True,
        "reinforcement": True,
    },
)
def approval(profile: ApprovalProfile, log: Log) -> Outcome:
    """The candidates that the most voters approve."""
    scores = [voters(profile, units) for units in profile.scores]
    log(f"Approvals: {named_scores(profile.candidates, scores)}.")
    return outcome_of_scores("approval", profile.candidates, scores, log)
