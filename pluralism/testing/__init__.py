"""Public batteries: run them on your own models and rules to see whether they keep the contract of the library's.

`pluralism.testing.strategies` has hypothesis strategies for comparisons and labels, and
`pluralism.testing.collective_strategies` for profiles, approvals and utilities; they need hypothesis.
"""

from __future__ import annotations

from pluralism.testing.battery import check_preference_model, checks
from pluralism.testing.llm_battery import check_llm, llm_checks
from pluralism.testing.outcome import CheckResult, ChecksFailedError
from pluralism.testing.rule_battery import check_rule, rule_checks

__all__ = [
    "CheckResult",
    "ChecksFailedError",
    "check_llm",
    "check_preference_model",
    "check_rule",
    "checks",
    "llm_checks",
    "rule_checks",
]
