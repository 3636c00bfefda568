"""Where groups agree and where they split."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pluralism.reports.agreement_display import AgreementDisplay
from pluralism.reports.palette import diverging_class
from pluralism.reports.preferences import GroupPreferences
from pluralism.reports.sections.likes import NO_PAIRS
from pluralism.reports.sections.subject import Part, Subject

__all__ = ["agreement"]

LINES = 4
PROMPTS = 3
ANSWERS = 6
SHADES_AT = 2.0


def agreement(subject: Subject) -> Part:
    """How often groups would choose alike, the texts that unite and divide them, and the prompts that do."""
    if subject.n_groups == 1:
        what = "people differ by degree" if subject.personal else "the model has one reward for everybody"
        return {"missing": f"{what}, so there are no groups to agree or to split"}, {}
    found = subject.preferences
    if found is None:
        return {"missing": NO_PAIRS}, {}
    blocks = [
        ("liked by all groups", found.shared(LINES)),
        ("disliked by all groups", found.shared(LINES, liked=False)),
        ("splitting the groups", found.divisive(LINES)),
    ]
    content: dict[str, Any] = {
        "names": subject.names,
        "same_choice": _same_choice(subject).tolist(),
        "blocks": [
            {"heading": heading, "items": [_row(subject, found, int(p)) for p in positions]}
            for heading, positions in blocks
        ],
        "split_prompts": [],
        "agreed_prompts": [],
    }
    if found.has_prompts:
        content["split_prompts"] = _prompts(subject, found, found.split_prompts(PROMPTS))
        apart = np.setdiff1d(found.agreed_prompts(2 * PROMPTS), found.split_prompts(PROMPTS), assume_unique=True)
        content["agreed_prompts"] = _prompts(subject, found, _in_order(found, apart)[:PROMPTS])
    items = found.items
    shown = (items.ids if items.texts is None else items.texts).take(found.item)
    display = AgreementDisplay(
        [
            (heading.capitalize(), [shown[int(p)].as_py() for p in positions], found.reward[positions])
            for heading, positions in blocks
        ],
        groups=subject.names,
    )
    return content, {"agreement": display}


def _in_order(found: GroupPreferences, prompts: Int[np.ndarray, " some"]) -> Int[np.ndarray, " some"]:
    return prompts[np.argsort(found.prompt_split()[prompts], kind="stable")]


def _row(subject: Subject, found: GroupPreferences, position: int) -> dict[str, Any]:
    reward = found.reward[position]
    return subject.item(found.item[position]) | {
        "reward": reward.tolist(),
        "shade": [diverging_class(float(value), SHADES_AT) for value in reward],
        "overall": float(found.overall[position]),
        "disagreement": float(found.disagreement[position]),
    }


def _prompts(subject: Subject, found: GroupPreferences, prompts: Int[np.ndarray, " some"]) -> list[dict[str, Any]]:
    """Each prompt with the texts that divide the groups most, the best liked on the whole first."""
    rows = []
    for prompt in prompts:
        members = np.flatnonzero(found.block == prompt)
        telling = members[np.argsort(-found.disagreement[members], kind="stable")][:ANSWERS]
        telling = telling[np.argsort(-found.overall[telling], kind="stable")]
        answers = [_row(subject, found, int(position)) for position in telling]
        asked = subject.item(int(found.item[members[0]]))["prompt"]
        rows.append(
            {
                "prompt": asked,
                "disagreement": float(found.prompt_split()[prompt]),
                "answers": answers,
                "more": len(members) - len(answers),
            }
        )
    return rows


def _same_choice(subject: Subject) -> Float[np.ndarray, "groups groups"]:
    """Share of the judged pairs in which two groups favour the same side."""
    data = subject.data
    if subject.sample is not None and len(data) > subject.sample:
        data = data.take(np.linspace(0, len(data) - 1, subject.sample).astype(np.int64))
    left = subject.model.predict_group_proba(data) > 0.5
    weight = data.weight / data.weight.sum()
    both = np.einsum("i,ij,ik->jk", weight, left.astype(float), left.astype(float), optimize=True)
    neither = np.einsum("i,ij,ik->jk", weight, (~left).astype(float), (~left).astype(float), optimize=True)
    return both + neither
