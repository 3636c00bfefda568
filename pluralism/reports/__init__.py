"""Reports: plots as objects, and one self-contained page that says what was found and how sure that is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "AgreementDisplay": "agreement_display",
    "ChoiceReport": "choice",
    "ComparisonDisplay": "comparison_display",
    "ConditioningReport": "conditioning",
    "CovariateDisplay": "covariate_display",
    "CrossDisplay": "cross_display",
    "DiscretionReport": "discretion",
    "FewShotDisplay": "few_shot_display",
    "GroupPreferences": "preferences",
    "GroupsDisplay": "groups_display",
    "KLGainDisplay": "kl_gain_display",
    "MembershipDisplay": "membership_display",
    "PriorityDisplay": "priority_display",
    "ReliabilityDisplay": "reliability_display",
    "Report": "report",
    "SelectionDisplay": "selection_display",
    "TournamentDisplay": "tournament_display",
    "WelfareDisplay": "welfare_display",
    "WelfareFrontDisplay": "welfare_front_display",
    "build_choice_report": "choice",
    "build_conditioning_report": "conditioning",
    "build_discretion_report": "discretion",
    "build_report": "build",
    "group_name": "palette",
    "group_preferences": "preferences",
}

__all__ = [
    "AgreementDisplay",
    "ChoiceReport",
    "ComparisonDisplay",
    "ConditioningReport",
    "CovariateDisplay",
    "CrossDisplay",
    "DiscretionReport",
    "FewShotDisplay",
    "GroupPreferences",
    "GroupsDisplay",
    "KLGainDisplay",
    "MembershipDisplay",
    "PriorityDisplay",
    "ReliabilityDisplay",
    "Report",
    "SelectionDisplay",
    "TournamentDisplay",
    "WelfareDisplay",
    "WelfareFrontDisplay",
    "build_choice_report",
    "build_conditioning_report",
    "build_discretion_report",
    "build_report",
    "group_name",
    "group_preferences",
]

if TYPE_CHECKING:
    from pluralism.reports.agreement_display import AgreementDisplay
    from pluralism.reports.build import build_report
    from pluralism.reports.choice import ChoiceReport, build_choice_report
    from pluralism.reports.comparison_display import ComparisonDisplay
    from pluralism.reports.conditioning import ConditioningReport, build_conditioning_report
    from pluralism.reports.covariate_display import CovariateDisplay
    from pluralism.reports.cross_display import CrossDisplay
    from pluralism.reports.discretion import DiscretionReport, build_discretion_report
    from pluralism.reports.few_shot_display import FewShotDisplay
    from pluralism.reports.groups_display import GroupsDisplay
    from pluralism.reports.kl_gain_display import KLGainDisplay
    from pluralism.reports.membership_display import MembershipDisplay
    from pluralism.reports.palette import group_name
    from pluralism.reports.preferences import GroupPreferences, group_preferences
    from pluralism.reports.priority_display import PriorityDisplay
    from pluralism.reports.reliability_display import ReliabilityDisplay
    from pluralism.reports.report import Report
    from pluralism.reports.selection_display import SelectionDisplay
    from pluralism.reports.tournament_display import TournamentDisplay
    from pluralism.reports.welfare_display import WelfareDisplay
    from pluralism.reports.welfare_front_display import WelfareFrontDisplay


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pluralism.reports.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.reports' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
