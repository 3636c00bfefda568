"""Rewards in a unit that groups can be compared in, measured on samples of a reference policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from pluralism.calibration.cdf import CDFCalibrator
from pluralism.errors import DataError
from pluralism.social_choice.utilities import Utilities

if TYPE_CHECKING:
    from pluralism.social_choice.utilities import Unit

__all__ = ["ReferenceRewards"]


@dataclass(frozen=True, eq=False, repr=False)
class ReferenceRewards:
    """What the columns of a reward are on samples of a reference policy, prompt by prompt.

    Attributes
    ----------
    raw : Utilities
        Rewards of the samples as the model gives them.
    unit : {"raw", "gain", "normalised", "cdf", "regret"}
        In what rewards are given; see `pluralism.social_choice.Utilities`.
    shrinkage : float
        For "cdf": how many samples of each prompt the pool of all prompts counts as; see
        `pluralism.calibration.CDFCalibrator`.
    """

    raw: Utilities
    unit: Unit
    shrinkage: float = 0.0

    @classmethod
    def of_samples(
        cls,
        rewards: Float64[np.ndarray, "rows columns"],
        prompts: Sequence[str],
        *,
        unit: Unit,
        groups: Sequence[str],
        shares: Float64[np.ndarray, " columns"],
        shrinkage: float = 0.0,
    ) -> ReferenceRewards:
        """From rewards of samples, one row each."""
        places = {prompt: k for k, prompt in enumerate(dict.fromkeys(prompts))}
        raw = Utilities.from_items(
            rewards,
            np.array([places[prompt] for prompt in prompts]),
            shares=shares,
            groups=groups,
            prompts=list(places),
            reference="samples",
        )
        return cls(raw, unit, shrinkage)

    @cached_property
    def utilities(self) -> Utilities:
        """The samples in the unit, as solvers of policies take them."""
        if self.unit != "cdf" or not self.shrinkage:
            return self.raw.to_unit(self.unit)
        return Utilities(
            self._calibrator.transform(self.raw.values),
            self.raw.log_reference,
            self.raw.shares,
            unit="cdf",
            groups=self.raw.groups,
            prompts=self.raw.prompts,
            items=self.raw.items,
            candidates=self.raw.candidates,
            reference="samples",
        )

    def take(self, columns: Sequence[int]) -> ReferenceRewards:
        """The same for some of the columns."""
        raw, kept = self.raw, list(columns)
        shares = raw.shares[kept]
        chosen = Utilities(
            raw.values[:, :, kept],
            raw.log_reference,
            shares if shares.any() else None,
            groups=[raw.groups[k] for k in kept],
            prompts=raw.prompts,
            items=raw.items,
            candidates=raw.candidates,
            reference="samples",
        )
        return ReferenceRewards(chosen, self.unit, self.shrinkage)

    def __call__(
        self, rewards: Float64[np.ndarray, "rows columns"], prompts: Sequence[str]
    ) -> Float64[np.ndarray, "rows columns"]:
        """Raw rewards of responses in the unit.

        Raises
        ------
        DataError
            A prompt has no reference samples.
        """
        if self.unit == "raw":
            return rewards
        unknown = next((prompt for prompt in prompts if prompt not in self._places), None)
        if unknown is not None:
            raise DataError(
                f"In the unit {self.unit!r} rewards are measured by reference responses to the same prompt.",
                where=f"the prompt {unknown[:60]!r} has none",
                fix="Draw reference responses for every prompt, or keep the reward raw.",
            )
        rows = np.array([self._places[prompt] for prompt in prompts])
        if self.unit == "cdf":
            return self._win_rates(rewards, rows)
        if self.unit == "regret":
            return rewards - self.raw.best[rows]
        gain = rewards - self.raw.reference_mean[rows]
        if self.unit == "gain":
            return gain
        spread = self.raw.spread
        return np.where(spread > 0, gain / np.where(spread > 0, spread, 1.0), 0.0)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {prompt: k for k, prompt in enumerate(self.raw.prompts)}

    @cached_property
    def _calibrator(self) -> CDFCalibrator:
        values = np.where(self.raw.mask[..., None], self.raw.values, np.nan)
        return CDFCalibrator(shrinkage=self.shrinkage).fit(values)

    def _win_rates(self, rewards: np.ndarray, rows: np.ndarray) -> np.ndarray:
        found = np.empty_like(rewards)
        for row in np.unique(rows):
            own = rows == row
            found[own] = self._calibrator.transform(rewards[own][None], prompt=np.array([row]))[0]
        return found
