"""From a fitted model and its data to a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pluralism.errors import DataError, UsageError
from pluralism.evaluation.result import json_value
from pluralism.random import RNG, as_seed
from pluralism.reports.held_out import HeldOut, hold_out_rows, some_users
from pluralism.reports.preferences import group_preferences, judged_blocks
from pluralism.reports.report import Report
from pluralism.reports.sections.accuracy import accuracy
from pluralism.reports.sections.agreement import agreement
from pluralism.reports.sections.covariates import covariates
from pluralism.reports.sections.data_check import data_check
from pluralism.reports.sections.few_shot import few_shot
from pluralism.reports.sections.groups import certainty, groups
from pluralism.reports.sections.likes import likes
from pluralism.reports.sections.selection import selection
from pluralism.reports.sections.settings import settings
from pluralism.reports.sections.subject import Part, Subject
from pluralism.reports.sections.summary import summary

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["build_report"]


def build_report(
    model: PreferenceModel,
    data: Comparisons,
    *,
    test: Comparisons | None = None,
    support: Comparisons | None = None,
    pooled: PreferenceModel | None = None,
    title: str = "Who wants what",
    examples: int = 3,
    sample: int | None = 200_000,
    n_bootstrap: int = 1000,
    command: str | None = None,
    progress: Callable[[str], object] | None = None,
    rng: RNG = 0,
) -> Report:
    """Gather what a fitted model says of the people behind the data, and how far to trust it.

    Parameters
    ----------
    model : PreferenceModel
        Fitted; it is not changed.
    data : Comparisons
        What it was fitted to, with features where the model uses them.
    test : Comparisons, optional
        Judgements that the model has not seen. Without them the model is fitted anew, with the settings it chose, to
        four fifths of every person's judgements and scored on the rest; the report says so.
    support : Comparisons, optional
        Answers that place people of `test` who are not in `data`; see `pluralism.evaluate`.
    pooled : PreferenceModel, optional
        One reward for everybody, to compare with; by default the control that a mixture brings along.
    title : str
    examples : int
        Texts in each list of likes and dislikes.
    sample : int or None
        Where a model is fitted anew or every judgement is looked at, at most about so many judgements are used, of
        people drawn at random; the report says so. None for all.
    n_bootstrap : int
        Draws of people behind the intervals.
    command : str, optional
        The command line that makes this report, to be shown in it.
    progress : callable, optional
        Called with the name of each step before it begins.
    rng : int, numpy.random.Generator or None
        For the held-out parts, the bootstrap and samples.

    Returns
    -------
    Report

    Raises
    ------
    NotFittedError
        If the model has not been fitted.
    DataError
        If there are no judgements, or `test` shares rows with `data`.

    Examples
    --------
    >>> from pluralism.data import simulate_mixture
    >>> from pluralism.models import MixtureBradleyTerry
    >>> data = simulate_mixture(n_users=30, n_groups=2, n_items=40, dim=3, rng=0).comparisons
    >>> report = build_report(MixtureBradleyTerry(n_groups=2, ridge=1.0).fit(data), data, n_bootstrap=100)
    >>> report.content["summary"]["figures"][2]
    {'value': '2', 'words': 'groups'}
    """
    if examples < 1 or (sample is not None and sample < 1):
        raise UsageError(f"examples={examples}, sample={sample} are not possible.", fix="Both are at least 1.")
    if len(data) == 0:
        raise DataError("There are no judgements to report on.", fix="Pass the data that the model was fitted to.")
    if support is not None and test is None:
        raise UsageError("support= places the people of test=, which is missing.", fix="Pass test= as well.")
    tell = progress or (lambda step: None)
    model.membership()
    preferences = group_preferences(model, data) if len(judged_blocks(data)[0]) else None
    subject = Subject(model, data, preferences, examples, sample, n_bootstrap, as_seed(rng))
    tell("held-out judgements")
    held = _held_out(subject, test, support, pooled)
    steps: dict[str, Callable[[], Part]] = {
        "data_check": lambda: data_check(subject),
        "groups": lambda: groups(subject),
        "likes": lambda: likes(subject),
        "covariates": lambda: covariates(subject),
        "agreement": lambda: agreement(subject),
        "certainty": lambda: certainty(subject),
        "accuracy": lambda: accuracy(subject, held),
        "few_shot": lambda: few_shot(subject),
        "selection": lambda: selection(subject),
        "settings": lambda: settings(subject, command),
    }
    parts: dict[str, Any] = {}
    displays: dict[str, Any] = {}
    for name, step in steps.items():
        tell(name.replace("_", " "))
        parts[name], drawn = step()
        displays |= drawn
    parts = json_value(parts)
    return Report(title, {"summary": summary(subject, parts), **parts}, displays)


def _held_out(
    subject: Subject, test: Comparisons | None, support: Comparisons | None, pooled: PreferenceModel | None
) -> HeldOut | str:
    data = subject.data if test is not None else some_users(subject.data, subject.sample, subject.seed)
    try:
        return hold_out_rows(
            subject.model,
            data,
            names=subject.names,
            test=test,
            support=support,
            pooled=pooled,
            n_bootstrap=subject.n_bootstrap,
            seed=subject.seed,
        )
    except (DataError, UsageError) as error:
        if test is not None:
            raise
        return f"a part of these data cannot be held out: {error.what.rstrip('.')}"
