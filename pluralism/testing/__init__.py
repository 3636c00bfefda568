"""Public batteries: run them on your own models to see whether they keep the contract of the library's.

`pluralism.testing.strategies` has hypothesis strategies for comparisons and labels; it needs hypothesis.
"""

from __future__ import annotations

from pluralism.testing.battery import check_preference_model, checks
from pluralism.testing.outcome import CheckResult, ChecksFailedError

__all__ = ["CheckResult", "ChecksFailedError", "check_preference_model", "checks"]
