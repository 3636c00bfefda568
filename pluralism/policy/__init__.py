"""From rewards to policies on finite candidates: distributions beside a reference, each with a proof of optimality."""

from __future__ import annotations

# Not lazy: a solver has the name of its file, which a later import of the file would put in its place.
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import kl_optimal
from pluralism.policy.voting import by_voting

__all__ = ["Certificate", "FinitePolicy", "by_voting", "kl_optimal"]
