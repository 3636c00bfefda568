"""What each group likes and dislikes, on its own and more than others do."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int
from scipy.special import expit

from pluralism.reports.preferences import GroupPreferences
from pluralism.reports.sections.subject import Part, Subject

__all__ = ["NO_PAIRS", "NO_STD", "likes"]

NO_PAIRS = "no prompt has two judged texts, so nothing can be said of what a group prefers"
NO_STD = (
    "no standard deviations, because this model keeps no covariance of its coefficients (it was fitted with "
    "uncertainty=False, or has more coefficients than an exact covariance is kept for)"
)


def likes(subject: Subject) -> Part:
    """For each group: the texts it likes most and least, and those it likes more and less than the others do."""
    found, n = subject.preferences, subject.examples
    if found is None:
        return {"missing": NO_PAIRS}, {}
    groups: list[dict[str, Any]] = []
    no_std = None
    for k, name in enumerate(subject.names):
        lists = [("likes most", found.liked(k, n)), ("likes least", found.disliked(k, n))]
        if subject.n_groups > 1:
            lists += [
                ("likes more than others do", found.top(found.relative[:, k], n)),
                ("likes less than others do", found.top(found.relative[:, k], n, lowest=True)),
            ]
        std = found.std(np.concatenate([positions for _, positions in lists]))
        no_std = NO_STD if std is None else None
        relative_std = None if std is None else found.relative_std(std)
        made, start = [], 0
        for heading, positions in lists:
            rows = slice(start, start + len(positions))
            start += len(positions)
            made.append(
                {
                    "heading": heading,
                    "relative": "others" in heading,
                    "items": _items(
                        subject,
                        found,
                        k,
                        positions,
                        None if std is None else std[rows, k],
                        None if relative_std is None else relative_std[rows, k],
                    ),
                }
            )
        groups.append({"name": name, "column": f"group_{k}", "lists": made})
    content = {
        "within": "prompt" if found.has_prompts else None,
        "n_judged": len(found),
        "n_prompts": found.n_blocks if found.has_prompts else None,
        "covariates": list(getattr(subject.fitted, "covariate_names_", [])),
        "no_std": no_std,
        "groups": groups,
    }
    return content, {}


def _items(
    subject: Subject,
    found: GroupPreferences,
    group: int,
    positions: Int[np.ndarray, " top"],
    std: np.ndarray | None,
    relative_std: np.ndarray | None,
) -> list[dict[str, Any]]:
    rows = []
    for i, position in enumerate(positions):
        reward = float(found.reward[position, group])
        rows.append(
            subject.item(found.item[position])
            | {
                "reward": reward,
                "std": None if std is None else float(std[i]),
                "wins": float(expit(reward)),
                "relative": float(found.relative[position, group]),
                "relative_std": None if relative_std is None else float(relative_std[i]),
            }
        )
    return rows
