"""What each group makes of the covariates: longer texts, the one shown first, any column of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.reports.display import Display, tidy, tidy_legend
from pluralism.reports.palette import INK, group_colour, group_marker, group_name
from pluralism.reports.text import label, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from pluralism.models import PreferenceModel

__all__ = ["CovariateDisplay", "covariate_std"]


def covariate_std(model: PreferenceModel) -> Float[np.ndarray, "groups covariates"] | None:
    """Standard deviations of `covariate_effects_`, in its units; None if the model keeps no covariance."""
    fitted: Any = model
    n = len(getattr(fitted, "covariate_names_", ()))
    if getattr(fitted, "covariance_", None) is None or n == 0:
        return None
    # The covariates are the last coefficients of the covariance, in units of their standard deviation.
    variance = np.stack([np.diag(c)[-n:] for c in fitted.covariance_])
    return np.sqrt(np.maximum(variance, 0.0)) / fitted.covariate_scale_


class CovariateDisplay(Display):
    """Effects of covariates in each group, in logits a typical difference between the two sides.

    Parameters
    ----------
    names : sequence of str
        Of the covariates.
    effect : array of shape (groups, covariates)
    std : array of shape (groups, covariates), optional
        Standard deviations; lines of 1.96 of them either way are drawn.
    groups : sequence of str, optional
        Names of the groups.
    """

    def __init__(
        self,
        names: Sequence[str],
        effect: Float[np.ndarray, "groups covariates"],
        std: Float[np.ndarray, "groups covariates"] | None = None,
        *,
        groups: Sequence[str] | None = None,
    ) -> None:
        self.names, self.effect, self.std = list(names), np.asarray(effect, dtype=np.float64), std
        self.groups = list(groups) if groups is not None else [group_name(k) for k in range(len(self.effect))]

    @classmethod
    def from_model(cls, model: PreferenceModel) -> Self:
        """Effects of a fitted model, scaled by the standard deviation of each covariate's difference.

        Raises
        ------
        UsageError
            If the model has no covariates.
        """
        fitted: Any = model
        if not getattr(fitted, "covariate_names_", ()):
            raise UsageError("The model has no covariates.", fix='Fit with covariates=("length",), for example.')
        std = covariate_std(model)
        scale = fitted.covariate_scale_
        return cls(fitted.covariate_names_, fitted.covariate_effects_ * scale, None if std is None else std * scale)

    def describe(self) -> str:
        """All effects in words."""
        parts = [
            f"{name}: " + ", ".join(f"{g} {signed(self.effect[k, c])}" for k, g in enumerate(self.groups))
            for c, name in enumerate(self.names)
        ]
        return "; ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a marker for each group on a line for each covariate."""
        n_groups, n = self.effect.shape
        ax = self._start(ax, 5.0, 1.0 + n * (0.25 + 0.2 * n_groups))
        step = 0.7 / n_groups
        for k in range(n_groups):
            place = np.arange(n) + (k - (n_groups - 1) / 2) * step
            error = None if self.std is None else 1.96 * self.std[k]
            ax.errorbar(
                self.effect[k],
                place,
                xerr=error,
                fmt=group_marker(k),
                color=group_colour(k),
                markersize=5,
                linewidth=1.4,
                label=label(self.groups[k], 24),
            )
        ax.axvline(0.0, color=INK, linewidth=0.8, alpha=0.6)
        ax.set_yticks(np.arange(n), [label(name, 24) for name in self.names])
        ax.set_ylim(n - 0.5, -0.5)
        tidy(ax, grid="x", xlabel="logits for a typical difference (one standard deviation)")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        if n_groups > 1:
            tidy_legend(ax, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return self
