"""How fast a new person is understood."""

from __future__ import annotations

import numpy as np

from pluralism.errors import DataError, UsageError
from pluralism.evaluation import FewShotCurve
from pluralism.reports.few_shot_display import FewShotDisplay
from pluralism.reports.held_out import hold_out_users, some_users
from pluralism.reports.sections.subject import Part, Subject

__all__ = ["few_shot"]

MOST_OF_THE_GAIN = 0.8


def few_shot(subject: Subject) -> Part:
    """Few-shot curve of a fifth of the people, for a model fitted anew without them."""
    if subject.n_groups == 1 and not subject.personal:
        return {"missing": "with one reward for everybody, no answer of a new person changes a prediction"}, {}
    data = some_users(subject.data, subject.sample, subject.seed)
    try:
        curve = hold_out_users(subject.model, data, n_bootstrap=subject.n_bootstrap, seed=subject.seed)
    except (DataError, UsageError) as error:
        return {"missing": f"it cannot be told from these data: {error.what.rstrip('.')}"}, {}
    content = {"curve": curve.to_dict(), "enough": _enough(curve), "sampled": len(data) < len(subject.data)}
    return content, {"few_shot": FewShotDisplay(curve)}


def _enough(curve: FewShotCurve) -> int | None:
    """The fewest answers that bring four fifths of the accuracy that all of them bring; None where they bring none."""
    gain = curve.accuracy - curve.accuracy[0]
    if not (curve.nll_gain[-1, 2] < 0 and gain[-1] > 0):
        return None
    return int(curve.shots[int(np.argmax(gain >= MOST_OF_THE_GAIN * gain[-1]))])
