"""Evaluation: how well a model predicts people it has and has not seen, for whom it fails, and how sure that is."""

from __future__ import annotations

from pluralism.evaluation.compare import compare
from pluralism.evaluation.comparison import Comparison, ComparisonRow
from pluralism.evaluation.evaluate import evaluate
from pluralism.evaluation.few_shot import FewShotCurve, few_shot_curve
from pluralism.evaluation.result import Calibrated, Evaluation, GroupScore

__all__ = [
    "Calibrated",
    "Comparison",
    "ComparisonRow",
    "Evaluation",
    "FewShotCurve",
    "GroupScore",
    "compare",
    "evaluate",
    "few_shot_curve",
]
