"""What each group makes of the covariates."""

from __future__ import annotations

import numpy as np

from pluralism.reports.covariate_display import CovariateDisplay, covariate_std
from pluralism.reports.sections.likes import NO_STD
from pluralism.reports.sections.subject import Part, Subject

__all__ = ["covariates"]

_EXPLAINED = {
    "length": "log(1 + number of characters): +1 is 2.7 times as long",
    "position": "standing on the left",
}


def covariates(subject: Subject) -> Part:
    """Effect of each covariate in each group, a unit and a typical difference."""
    fitted = subject.fitted
    names = list(getattr(fitted, "covariate_names_", []))
    if not names:
        return {"missing": "the model carries no covariates; fit with covariates=('length',), for example"}, {}
    std = covariate_std(subject.model)
    own = set(subject.data.covariates) | set(subject.data.items.covariates)
    rows = [
        {
            "name": name,
            "unit": "" if name in own else _EXPLAINED.get(name, ""),
            "typical": float(fitted.covariate_scale_[c]),
            "groups": [
                {
                    "name": group,
                    "effect": float(fitted.covariate_effects_[k, c]),
                    "std": None if std is None else float(std[k, c]),
                    "sure": None if std is None else bool(np.abs(fitted.covariate_effects_[k, c]) > 1.96 * std[k, c]),
                }
                for k, group in enumerate(subject.names)
            ],
        }
        for c, name in enumerate(names)
    ]
    display = CovariateDisplay(
        names,
        fitted.covariate_effects_ * fitted.covariate_scale_,
        None if std is None else std * fitted.covariate_scale_,
        groups=subject.names,
    )
    return {"rows": rows, "no_std": NO_STD if std is None else None}, {"covariates": display}
