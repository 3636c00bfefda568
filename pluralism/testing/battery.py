"""The battery of a preference model: every check by name, and the function that runs them."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pluralism.errors import UsageError
from pluralism.testing import contract, edge_cases, features, invariance, membership, optimisation, persistence
from pluralism.testing.case import Case
from pluralism.testing.outcome import CheckResult, ChecksFailedError, Failure, Skip

if TYPE_CHECKING:
    from pluralism.models import PreferenceModel

__all__ = ["CHECKS", "check_preference_model", "checks", "run_checks"]

CHECKS: dict[str, Callable[[Case], None]] = {
    **contract.CHECKS,
    **features.CHECKS,
    **invariance.CHECKS,
    **membership.CHECKS,
    **edge_cases.CHECKS,
    **optimisation.CHECKS,
    **persistence.CHECKS,
}


def checks() -> list[str]:
    """Names of all checks of a preference model, in the order they run.

    Examples
    --------
    >>> "row_order_does_not_matter" in checks()
    True
    """
    return list(CHECKS)


def check_preference_model(
    model: PreferenceModel,
    *,
    checks: Sequence[str] | None = None,
    tolerance: float = 1e-3,
    raise_on_failure: bool = False,
) -> list[CheckResult]:
    """Run the battery on a preference model of your own, or of the library.

    The model is cloned and fitted some sixty times to small simulated data, so pass one whose settings are fixed
    where that saves time; checks that make sense under fixed settings alone are skipped where a setting is "auto".
    A model that cannot take items without features says so by the attribute ``requires_features = True``.

    Parameters
    ----------
    model : PreferenceModel
        Its state is not touched.
    checks : sequence of str, optional
        Names from `checks()`; all by default.
    tolerance : float
        Largest difference of predicted probabilities that a reordering of the same data may bring.
    raise_on_failure : bool
        Raise one error that names all failures.

    Returns
    -------
    list of CheckResult
        One for each check, in order.

    Raises
    ------
    ChecksFailedError
        If checks fail and `raise_on_failure` is set.
    UsageError
        For an unknown name of a check.

    Examples
    --------
    >>> from pluralism.models import BradleyTerry
    >>> results = check_preference_model(BradleyTerry(ridge=1.0), checks=["fit_returns_self"])
    >>> print(results[0].name, results[0].status)
    fit_returns_self passed
    """
    return run_checks(CHECKS, checks, Case(model, tolerance), repr(model), raise_on_failure=raise_on_failure)


def run_checks(
    known: Mapping[str, Callable[[Any], None]],
    names: Sequence[str] | None,
    case: Any,
    subject: str,
    *,
    raise_on_failure: bool,
) -> list[CheckResult]:
    """Run checks by name, all if none are named, on one case; arguments as in `check_preference_model`."""
    chosen = list(known) if names is None else list(names)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise UsageError(f"There is no check {unknown[0]!r}.", fix=f"Checks are {', '.join(known)}.")
    results = [_run(name, known[name], case) for name in chosen]
    if raise_on_failure and any(result.status == "failed" for result in results):
        raise ChecksFailedError.of(subject, results)
    return results


def _run(name: str, check: Callable[[Any], None], case: Any) -> CheckResult:
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(case)
    except Skip as skip:
        return CheckResult(name, "skipped", str(skip), time.perf_counter() - start)
    except Failure as failure:
        return CheckResult(name, "failed", str(failure), time.perf_counter() - start)
    except Exception as error:
        # Whatever a subject raises is a finding of the check, never a reason to stop the battery.
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__} at {last.filename}:{last.lineno}: {error}"
        return CheckResult(name, "failed", message, time.perf_counter() - start)
    return CheckResult(name, "passed", "", time.perf_counter() - start)
