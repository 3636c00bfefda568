"""Calibration: whether probabilities mean what they say, and how sure a sample of this size can be of it.

Every function takes the probability that the left item is preferred, and the outcome (1 left, 0 right, 0.5 a tie,
or any share in between). Nothing here depends on which item happened to be shown on the left.
"""

from __future__ import annotations

from pluralism.calibration.expected_calibration_error import debiased_ece, ece
from pluralism.calibration.null_band import NullBand, ece_null_band
from pluralism.calibration.reliability import ReliabilityCurve, reliability_curve
from pluralism.calibration.scores import accuracy, brier, log_loss, signed_confidence_gap
from pluralism.calibration.temperature import Temperature, fit_temperature

__all__ = [
    "NullBand",
    "ReliabilityCurve",
    "Temperature",
    "accuracy",
    "brier",
    "debiased_ece",
    "ece",
    "ece_null_band",
    "fit_temperature",
    "log_loss",
    "reliability_curve",
    "signed_confidence_gap",
]
