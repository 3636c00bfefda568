"""The groups: how large they are, how sure that is, and how they relate to groups that the data state."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluralism.reports.groups_display import GroupsDisplay
from pluralism.reports.membership_display import SURE, MembershipDisplay
from pluralism.reports.sections.subject import Part, Subject

__all__ = ["certainty", "groups"]

LEVEL = 0.95
NO_GROUPS = "the model has one reward for everybody"
NOBODY = "with one reward for everybody there is nobody to place"


def groups(subject: Subject) -> Part:
    """Size and interval of each group, and a cross table with known groups."""
    fitted, membership = subject.fitted, subject.model.membership()
    weights = np.asarray(fitted.group_weights_, dtype=np.float64)
    bounds = fitted.group_weight_intervals(LEVEL) if hasattr(fitted, "group_weight_intervals") else None
    people = np.bincount(membership.labels, minlength=subject.n_groups)
    judgements = np.bincount(membership.labels, membership.n, minlength=subject.n_groups)
    rows = [
        {
            "name": name,
            "column": f"group_{k}",
            "share": float(weights[k]),
            "low": None if bounds is None else float(bounds[k, 0]),
            "high": None if bounds is None else float(bounds[k, 1]),
            "people": int(people[k]),
            "judgements": int(judgements[k]),
        }
        for k, name in enumerate(subject.names)
    ]
    content: dict[str, Any] = {
        "rows": rows,
        "level": LEVEL,
        "n_users": len(membership),
        "known": _known_groups(subject),
        "no_intervals": None if bounds is not None else "this model keeps no posterior of the group sizes",
    }
    if subject.n_groups == 1:
        why = "each person has a reward of their own, around a common one" if subject.personal else NO_GROUPS
        return content | {"missing": why}, {}
    return content, {"groups": GroupsDisplay.from_model(subject.model, level=LEVEL)}


def certainty(subject: Subject) -> Part:
    """How sure it is who belongs where."""
    if subject.n_groups == 1:
        why = "people are not placed in groups here, but each by their own answers" if subject.personal else NOBODY
        return {"missing": why}, {}
    membership = subject.model.membership()
    display = MembershipDisplay(membership, names=subject.names)
    sure = membership.certainty
    rows = []
    for k, name in enumerate(subject.names):
        inside = membership.labels == k
        rows.append(
            {
                "name": name,
                "people": int(inside.sum()),
                "median": float(np.median(sure[inside])) if inside.any() else None,
                "sure": float(np.mean(sure[inside] >= SURE)) if inside.any() else None,
                "answers": float(np.median(membership.n[inside])) if inside.any() else None,
            }
        )
    content = {
        "sure_share": display.sure_share,
        "sure": SURE,
        "median": float(np.median(sure)),
        "entropy": float(np.mean(membership.entropy)),
        "rows": rows,
    }
    return content, {"membership": display}


def _known_groups(subject: Subject) -> dict[str, Any] | None:
    """People by fitted group and by the group that the data state for them (that of most of their rows)."""
    data = subject.data
    if data.group is None or data.groups is None or subject.n_groups == 1:
        return None
    stated = data.group >= 0
    votes = np.zeros((data.n_users, len(data.groups)), dtype=np.int64)
    np.add.at(votes, (data.user[stated], data.group[stated]), 1)
    membership = subject.model.membership()
    rows = membership.index(data.users)
    known = (votes.sum(axis=1) > 0) & (rows >= 0)
    table = np.zeros((subject.n_groups, len(data.groups)), dtype=np.int64)
    np.add.at(table, (membership.labels[rows[known]], votes[known].argmax(axis=1)), 1)
    return {
        "columns": data.groups.to_pylist(),
        "rows": [{"name": name, "counts": table[k].tolist()} for k, name in enumerate(subject.names)],
    }
