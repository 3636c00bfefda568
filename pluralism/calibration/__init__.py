"""Calibration: whether probabilities mean what they say, and rewards on one scale.

The scores and calibrators take the probability that the left item is preferred, and the outcome (1 left, 0 right, 0.5
a tie, or any share in between). None of them depends on which item happened to be shown on the left, but for those
that are asked to (`Platt`, and `mirrored=False`).

The transforms take rewards of candidates, of shape (candidates,), (candidates, objectives) or (prompts, candidates,
objectives), and rewards of reference responses of the same shape.
"""

from __future__ import annotations

from pluralism.calibration.cdf import CDFCalibrator
from pluralism.calibration.combine import INVARIANCES, PROPERTIES, combine
from pluralism.calibration.decomposition import ScoreDecomposition, decompose
from pluralism.calibration.expected_calibration_error import debiased_ece, ece
from pluralism.calibration.grouped import GroupedCalibrator, fit_grouped
from pluralism.calibration.isotonic import Isotonic, fit_isotonic
from pluralism.calibration.log_sigmoid import log_sigmoid_centred, lsc_and, lsc_or, reference_levels
from pluralism.calibration.null_band import NullBand, ece_null_band
from pluralism.calibration.paired import MetricDifference, PairedComparison, paired_bootstrap
from pluralism.calibration.par import par
from pluralism.calibration.platt import Platt, fit_platt
from pluralism.calibration.reliability import ReliabilityCurve, reliability_curve
from pluralism.calibration.scores import accuracy, brier, log_loss, signed_confidence_gap
from pluralism.calibration.shaping import SHAPINGS, shape_rewards
from pluralism.calibration.tables import CalibrationTable, calibration_table, classwise_ece
from pluralism.calibration.temperature import Temperature, fit_temperature

__all__ = [
    "INVARIANCES",
    "PROPERTIES",
    "SHAPINGS",
    "CDFCalibrator",
    "CalibrationTable",
    "GroupedCalibrator",
    "Isotonic",
    "MetricDifference",
    "NullBand",
    "PairedComparison",
    "Platt",
    "ReliabilityCurve",
    "ScoreDecomposition",
    "Temperature",
    "accuracy",
    "brier",
    "calibration_table",
    "classwise_ece",
    "combine",
    "debiased_ece",
    "decompose",
    "ece",
    "ece_null_band",
    "fit_grouped",
    "fit_isotonic",
    "fit_platt",
    "fit_temperature",
    "log_loss",
    "log_sigmoid_centred",
    "lsc_and",
    "lsc_or",
    "paired_bootstrap",
    "par",
    "reference_levels",
    "reliability_curve",
    "shape_rewards",
    "signed_confidence_gap",
]
