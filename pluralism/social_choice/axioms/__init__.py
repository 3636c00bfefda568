"""Axioms of rules that choose one candidate: the audit of a rule on a profile, with counterexamples."""

from __future__ import annotations

from pluralism.social_choice.axioms.audit import audit, find_counterexample
from pluralism.social_choice.axioms.check import AxiomCheck, AxiomReport, Counterexample
from pluralism.social_choice.axioms.clones import clone_sets, with_clone
from pluralism.social_choice.axioms.dominance import condorcet_loser, schwartz_set

__all__ = [
    "AxiomCheck",
    "AxiomReport",
    "Counterexample",
    "audit",
    "clone_sets",
    "condorcet_loser",
    "find_counterexample",
    "schwartz_set",
    "with_clone",
]
