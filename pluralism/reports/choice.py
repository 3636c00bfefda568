"""The page about a choice: who wins and loses under each rule, the welfare front, and where rules differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pluralism import __version__
from pluralism.calibration.text import json_ready
from pluralism.errors import UsageError
from pluralism.reports.palette import group_name
from pluralism.reports.report import Report
from pluralism.reports.text import counted, signed
from pluralism.reports.welfare_display import WelfareDisplay
from pluralism.reports.welfare_front_display import WelfareFrontDisplay

if TYPE_CHECKING:
    from pluralism.data import Items
    from pluralism.policy import PolicyComparison

__all__ = ["ChoiceReport", "build_choice_report"]

UNITS = {
    "raw": "raw rewards, whose zero and scale may differ between groups",
    "gain": "logits gained over the reference policy",
    "normalised": "standard deviations of each group's rewards under the reference policy",
    "cdf": "the share of the reference policy's candidates that are beaten: 0.5 is the reference itself",
    "regret": "logits lost against each group's best candidate",
}


class ChoiceReport(Report):
    """Who wins and loses under each rule, the welfare front, and where rules differ; made by `build_choice_report`."""

    template: ClassVar[str] = "choice.html.j2"


def build_choice_report(
    comparison: PolicyComparison,
    *,
    items: Items | None = None,
    title: str = "What to choose for all",
    prompts: int = 8,
    command: str | None = None,
) -> ChoiceReport:
    """Gather what policies bring whom, for a page.

    Parameters
    ----------
    comparison : PolicyComparison
        From `pluralism.policy.compare_policies`.
    items : Items, optional
        The candidates, whose texts are shown; they must have the ids that the comparison names.
    title : str
    prompts : int
        How many prompts are listed on which policies differ most.
    command : str, optional
        The command line that makes this report, to be shown in it.

    Raises
    ------
    UsageError
        If the items are not the candidates.
    """
    by = comparison.utilities
    groups = [group_name(k) if name == f"group {k}" else name for k, name in enumerate(by.groups)]
    gain = comparison.group_utilities - comparison.reference_utilities
    names = list(comparison.policies)
    texts = _texts(comparison, items)
    rows = [
        {
            "policy": name,
            "method": policy.method,
            "gain": gain[i],
            "mean": comparison.mean[i],
            "worst": comparison.worst[i],
            "worst_group": groups[int(np.argmin(comparison.group_utilities[i]))],
            "kl": comparison.kl[i],
            "on_front": bool(comparison.on_front[i]),
            "losers": [groups[k] for k in np.flatnonzero(comparison.losers[i])],
            "gap": None if policy.certificate is None else max(policy.certificate.gap, 0.0),
            "notes": list(policy.notes),
        }
        for i, (name, policy) in enumerate(comparison.policies.items())
    ]
    contested = [
        {
            "prompt": by.prompts[x],
            "distance": comparison.contested[x],
            "choices": _choices(comparison.favourites(int(x)), texts),
        }
        for x in comparison.most_contested[: max(prompts, 0)]
        if comparison.contested[x] > 1e-9
    ]
    content = {
        "summary": _summary(comparison, groups, gain, names),
        "groups": [{"name": name, "share": share} for name, share in zip(groups, by.shares, strict=True)],
        "reference_utilities": comparison.reference_utilities,
        "policies": rows,
        "distance": comparison.distance,
        "contested": contested,
        "settings": {
            "unit": by.unit,
            "unit_words": UNITS[by.unit],
            "reference": by.reference,
            "prompts": by.n_prompts,
            "candidates": len(by.candidates),
            "command": command,
            "versions": {"pluralism": __version__},
        },
    }
    displays = {
        "welfare": WelfareDisplay.from_comparison(comparison, groups=groups),
        "front": WelfareFrontDisplay.from_comparison(comparison),
    }
    return ChoiceReport(title, json_ready(content), displays)


def _texts(comparison: PolicyComparison, items: Items | None) -> dict[str, str | None]:
    names = comparison.utilities.candidates
    if items is None:
        return dict.fromkeys(names)
    if items.ids.to_pylist() != list(names):
        raise UsageError(
            "The items are not the candidates of the comparison.", fix="Pass the items that the policies were made of."
        )
    return dict(zip(names, [None] * len(names) if items.texts is None else items.texts.to_pylist(), strict=True))


def _choices(favourites: dict[str, str], texts: dict[str, str | None]) -> list[dict[str, Any]]:
    """Candidates with the policies that favour them, in the order of the policies."""
    by_candidate: dict[str, list[str]] = {}
    for policy, candidate in favourites.items():
        by_candidate.setdefault(candidate, []).append(policy)
    return [{"id": name, "text": texts[name], "policies": policies} for name, policies in by_candidate.items()]


def _summary(comparison: PolicyComparison, groups: list[str], gain: np.ndarray, names: list[str]) -> dict[str, Any]:
    best_mean, best_worst = int(np.argmax(comparison.mean)), int(np.argmax(comparison.worst))
    weakest = groups[int(np.argmin(comparison.group_utilities[best_mean]))]
    sentences = []
    if comparison.worst[best_worst] > comparison.worst[best_mean] + 1e-9:
        lost = comparison.mean[best_mean] - comparison.mean[best_worst]
        headline = f"{names[best_worst]} does most for those who have least, {names[best_mean]} most on average"
        sentences.append(
            f"Under {names[best_mean]} the group that has least is {weakest}, at "
            f"{signed(comparison.worst[best_mean])}; {names[best_worst]} brings the least to "
            f"{signed(comparison.worst[best_worst])}, and costs {signed(-lost)} on average over all people."
        )
    else:
        headline = f"{names[best_mean]} does most on average, and no policy here does more for those who have least"
        sentences.append(f"The group that has least under it is {weakest}, at {signed(comparison.worst[best_mean])}.")
    losing = [name for name, lost in zip(names, comparison.losers, strict=True) if lost.any()]
    if losing:
        sentences.append(f"Some group has less than under the reference policy with {', '.join(losing)}.")
    else:
        sentences.append("No group has less than under the reference policy with any of the policies.")
    n_apart = int(np.sum(comparison.contested > 0.5))
    sentences.append(
        f"On {counted(n_apart, 'prompt')} of {comparison.utilities.n_prompts:,} two policies agree on less than half "
        "of what they choose."
    )
    figures = [
        {"words": f"{words}, {names[i]}", "value": signed(values[i])}
        for i in dict.fromkeys((best_mean, best_worst))
        for words, values in (("mean", comparison.mean), ("least", comparison.worst))
    ]
    return {"headline": headline, "sentences": sentences, "figures": figures}
