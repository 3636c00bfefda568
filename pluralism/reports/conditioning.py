"""The page about conditioning: who prefers what, who gains and who loses, at which distance from the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pluralism import __version__
from pluralism.calibration.text import json_ready
from pluralism.policy.lm.experiment import REFERENCE
from pluralism.reports.cross_display import CrossDisplay
from pluralism.reports.kl_gain_display import KLGainDisplay
from pluralism.reports.palette import diverging_class
from pluralism.reports.report import Report
from pluralism.reports.text import counted, number, percent, signed
from pluralism.reports.welfare_display import WelfareDisplay

if TYPE_CHECKING:
    from pluralism.policy.lm.experiment import ConditioningExperiment
    from pluralism.reports.display import Display

__all__ = ["ConditioningReport", "build_conditioning_report", "p_text", "policy_rows"]

SURE = 0.01
"""Below this p-value a group is said to prefer what was made for it."""


class ConditioningReport(Report):
    """Who prefers what was made for whom, who gains and loses, and texts; made by `build_conditioning_report`."""

    template: ClassVar[str] = "conditioning.html.j2"


def build_conditioning_report(
    found: ConditioningExperiment,
    *,
    groups: Sequence[str] | None = None,
    title: str = "Conditioning a language model",
    examples: int = 6,
    settings: dict[str, Any] | None = None,
    command: str | None = None,
) -> ConditioningReport:
    """Gather what an experiment found, for a page.

    Parameters
    ----------
    found : ConditioningExperiment
        From `pluralism.policy.lm.condition`.
    groups : sequence of str, optional
        What to call the groups.
    title : str
    examples : int
        How many prompts are shown with the first response of every condition, spaced evenly over all prompts.
    settings : dict, optional
        What else to list under the settings: words to values.
    command : str, optional
        The command line that makes this report, to be shown in it.
    """
    scores = found.scores
    names = list(scores.groups if groups is None else groups)
    methods = list(dict.fromkeys(scores.methods))
    per_group = [name for name in methods if (scores.made_for[scores.columns(name)] >= 0).any()]
    displays: dict[str, Display] = {
        f"cross_{k + 1}": CrossDisplay.from_scores(scores, name, groups=names) for k, name in enumerate(per_group)
    }
    served, won = _served(found)
    displays["gains"] = WelfareDisplay(served, names, won - 0.5, unit="in win rate")
    displays["kl"] = KLGainDisplay.from_experiment(found, groups=names)
    content = {
        "summary": _summary(found, names, served, won),
        "groups": [{"name": name, "share": share} for name, share in zip(names, scores.shares, strict=True)],
        "methods": [_method(found, name, names, f"cross_{k + 1}") for k, name in enumerate(per_group)],
        "policies": policy_rows(found, names),
        "conditions": [
            _condition(found, i, names, name) for i, name in enumerate([REFERENCE, *scores.conditions], start=-1)
        ],
        "between": [_between(found, g, names) for g in range(len(names))],
        "examples": _examples(found, names, methods, examples),
        "settings": {
            "prompts": len(found.prompts),
            "samples": scores.n_samples,
            "level": scores.level,
            "judge": found.judge,
            "notes": list(found.notes),
            "others": [{"name": name, "value": str(value)} for name, value in (settings or {}).items()],
            "command": command,
            "versions": {"pluralism": __version__},
        },
    }
    return ConditioningReport(title, json_ready(content), displays)


def policy_rows(found: ConditioningExperiment, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Who gains and who loses: a row for each method, in which each group has what was made for it."""
    called = list(found.scores.groups if names is None else names)
    return [_policy(found, method, called) for method in dict.fromkeys(found.scores.methods)]


def _served(found: ConditioningExperiment) -> tuple[list[str], np.ndarray]:
    """What each group has if everybody gets the condition made for them, of each method; and under each single policy.

    Returns names, and win rates of shape (policies, groups).
    """
    scores = found.scores
    served, rows = [], []
    for method in dict.fromkeys(scores.methods):
        columns = scores.columns(method)
        place = {int(g): int(c) for c, g in zip(columns, scores.made_for[columns], strict=True)}
        k = len(scores.groups)
        if -1 in place:
            served.append(method)
            rows.append(scores.win_rate[:, place[-1]])
        elif all(g in place for g in range(k)):
            served.append(f"{method}, own")
            rows.append(scores.win_rate[np.arange(k), [place[g] for g in range(k)]])
    return served, np.array(rows).reshape(len(served), len(scores.groups))


def _method(found: ConditioningExperiment, method: str, names: list[str], figure: str) -> dict[str, Any]:
    scores = found.scores
    test = next((one for one in scores.diagonals if one.method == method), None)
    rows = []
    if test is not None:
        own = {int(g): int(c) for c, g in enumerate(scores.made_for) if scores.methods[c] == method}
        for g in range(len(names)):
            others = [scores.between[g, own[g], own[h]] for h in range(len(names)) if h != g]
            rows.append(
                {
                    "own": scores.win_rate[g, own[g]],
                    "low": scores.low[g, own[g]],
                    "high": scores.high[g, own[g]],
                    "over": test.group_statistic[g],
                    "over_low": test.group_interval[g, 0],
                    "over_high": test.group_interval[g, 1],
                    "least": min(others),
                    "p": p_text(float(test.group_p[g])),
                }
            )
    return {
        "name": method,
        "figure": figure,
        "rows": rows,
        "test": None
        if test is None
        else {
            "over": test.statistic,
            "low": test.interval[0],
            "high": test.interval[1],
            "p": p_text(test.p),
            "exact": test.exact,
        },
    }


def _policy(found: ConditioningExperiment, method: str, names: list[str]) -> dict[str, Any]:
    """A row of who gains and who loses."""
    scores = found.scores
    columns = scores.columns(method)
    place = {int(g): int(c) for c, g in zip(columns, scores.made_for[columns], strict=True)}
    cells: list[dict[str, Any] | None] = []
    for g in range(len(names)):
        c = place.get(-1, place.get(g))
        cells.append(
            None
            if c is None
            else {
                "value": scores.win_rate[g, c],
                "low": scores.low[g, c],
                "high": scores.high[g, c],
                "shade": diverging_class(scores.win_rate[g, c] - 0.5, 0.4),
                "loses": bool(scores.losers[g, c]),
            }
        )
    there = [g for g, cell in enumerate(cells) if cell is not None]
    values = np.array([cell["value"] for cell in cells if cell is not None])
    worst = int(np.argmin(values))
    return {
        "name": method,
        "single": -1 in place,
        "cells": cells,
        "mean": float(scores.shares[there] @ values / scores.shares[there].sum()),
        "worst": values[worst],
        "worst_group": names[there[worst]],
    }


def _condition(found: ConditioningExperiment, place: int, names: list[str], name: str) -> dict[str, Any]:
    facts, scores = found.facts_of(name), found.scores
    whose = -1 if place < 0 else int(scores.made_for[place])
    return {
        "method": name if place < 0 else scores.methods[place],
        "group": whose,
        "made_for": None if whose < 0 else names[whose],
        "kl": None if facts.kl is None else facts.kl.value,
        "kl_error": None if facts.kl is None else facts.kl.standard_error,
        "per_token": None if facts.kl is None else facts.kl.per_token,
        "kl_bound": facts.kl_bound,
        "n_tokens": facts.n_tokens,
        "n_words": facts.n_words,
        "finished": facts.finished,
        "distinct_2": facts.distinct_2,
        "self_bleu": facts.self_bleu,
        "reference": place < 0,
    }


def _between(found: ConditioningExperiment, group: int, names: list[str]) -> dict[str, Any]:
    table = found.scores.between[group]
    return {
        "group": names[group],
        "conditions": [_called(found, c, names) for c in range(len(table))],
        "rows": [
            [{"value": x, "shade": diverging_class(x - 0.5, 0.4), "same": i == j} for j, x in enumerate(row)]
            for i, row in enumerate(table)
        ],
    }


def _called(found: ConditioningExperiment, condition: int, names: list[str]) -> str:
    scores = found.scores
    whose = int(scores.made_for[condition])
    return scores.methods[condition] if whose < 0 else f"{scores.methods[condition]} for {names[whose]}"


def _examples(found: ConditioningExperiment, names: list[str], methods: list[str], n: int) -> list[dict[str, Any]]:
    scores = found.scores
    chosen = np.unique(np.linspace(0, len(found.prompts) - 1, min(max(n, 0), len(found.prompts))).round().astype(int))
    shown = []
    for x in chosen.tolist():
        blocks: list[dict[str, Any]] = []
        for_all: list[dict[str, Any]] = [
            {"group": -1, "name": REFERENCE, "text": found.responses[REFERENCE].of_prompt(x)[0]}
        ]
        for method in methods:
            cards: list[dict[str, Any]] = []
            for c in scores.columns(method).tolist():
                whose = int(scores.made_for[c])
                text = found.responses[scores.conditions[c]].of_prompt(x)[0]
                card = {"group": whose, "name": method if whose < 0 else names[whose], "text": text}
                (for_all if whose < 0 else cards).append(card)
            if cards:
                blocks.append({"method": method, "cards": sorted(cards, key=lambda card: card["group"])})
        blocks.append({"method": "one for everybody", "cards": for_all})
        shown.append({"prompt": found.prompts[x], "methods": blocks})
    return shown


def p_text(p: float) -> str:
    """A p-value in words: two digits, or a power of ten it is below."""
    if p >= 0.001:
        return number(p, 3)
    return "< 0.001" if p >= 1e-4 else f"< 1e−{min(int(-np.log10(max(p, 1e-300))), 99)}"


def _summary(found: ConditioningExperiment, names: list[str], served: list[str], won: np.ndarray) -> dict[str, Any]:
    scores = found.scores
    sentences, figures = [], []
    best = max(scores.diagonals, key=lambda test: test.statistic, default=None)
    tested = len(scores.diagonals)
    if best is None:
        headline = "No method made something for every group"
    else:
        # The best of several methods is chosen by what is tested, so each counts as one test.
        level = SURE / tested
        sure = int(np.sum((best.group_p < level) & (best.group_statistic > 0)))
        what = f"{best.method} made" if tested > 1 else "was made"
        if sure == len(names):
            headline = f"Every group prefers what {what} for it"
        elif sure == 0:
            headline = f"No group is shown to prefer what {what} for it"
        else:
            who = f"{sure} of {counted(len(names), 'group')} prefer{'s' * (sure == 1)}"
            headline = f"{who} what {what} for {'it' if sure == 1 else 'them'}"
        figures.append({"words": f"own over others, {best.method}", "value": signed(best.statistic)})
        if tested > 1:
            asks = f"p < {number(level, 4)} of a group, not {SURE:g}"
            sentences.append(f"The headline is about the best of {tested} methods, so it asks {asks}.")
    for test in scores.diagonals:
        sure = int(np.sum((test.group_p < SURE) & (test.group_statistic > 0)))
        low, high = (number(100 * bound, 1) for bound in test.interval)
        # Without draws there is no interval.
        interval = f"{low} to {high}; " if np.isfinite(test.interval).all() else ""
        sentences.append(
            f"{test.method}: a group's judge prefers what was made for the group to the reference more often than what "
            f"was made for others, by {number(100 * test.statistic, 1)} points ({interval}p {p_text(test.p)}); taken "
            f"alone, {sure} of {counted(len(names), 'group')} do so at p < {SURE:g}."
        )
    single = [i for i, name in enumerate(served) if name in scores.conditions]
    if single:
        top = max(single, key=lambda i: float(won[i].min()))
        parts = []
        for i in single:
            c = scores.conditions.index(served[i])
            losing = [names[g] for g in np.flatnonzero(scores.losers[:, c])]
            parts.append(
                f"{served[i]} ({', '.join(losing)} lose{'s' * (len(losing) == 1)})"
                if losing
                else f"{served[i]} (nobody loses)"
            )
        sentences.append(f"Single policies for all: {'; '.join(parts)}.")
        figures.append({"words": f"least, {served[top]} for all", "value": percent(float(won[top].min()))})
    group_rows = [i for i in range(len(served)) if i not in single]
    if group_rows:
        top = max(group_rows, key=lambda i: float(won[i].min()))
        figures.insert(1, {"words": f"least, {served[top]}", "value": percent(float(won[top].min()))})
        if single:
            ahead = float(won[top].min() - max(won[i].min() for i in single))
            sentences.append(
                f"The group that has least wins {percent(float(won[top].min()))} with {served[top]}, "
                f"{number(abs(100 * ahead), 1)} points {'more' if ahead >= 0 else 'less'} than under the best single "
                "policy."
            )
    figures.append({"words": "prompts that no method learnt from", "value": f"{len(found.prompts):,}"})
    sentences.append(f"Judged by {found.judge}.")
    return {"headline": headline, "sentences": sentences, "figures": figures}
