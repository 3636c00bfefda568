"""Models that fit the same terms with one reward for everybody beside themselves: the control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pluralism.models.bradley_terry import BradleyTerry
from pluralism.models.fitting import Memory, Plan, learn, run_fit
from pluralism.models.linear import LinearPreferenceModel
from pluralism.models.preparation import Prepared
from pluralism.random import RNG

__all__ = ["PooledControl", "pooled_control"]


def pooled_control(model: LinearPreferenceModel, **given: Any) -> BradleyTerry:
    """An unfitted Bradley-Terry with the settings that a model has in common with it, but for those given."""
    shared = BradleyTerry().get_params(deep=False).keys() & model.get_params(deep=False).keys()
    return BradleyTerry(**{name: getattr(model, name) for name in shared} | given)


class PooledControl(LinearPreferenceModel):
    """Beside it stands `control_`, a `BradleyTerry` of the same settings: what a single reward brings on these data."""

    nested: ClassVar[tuple[str, ...]] = ("control_",)
    control_: BradleyTerry

    def _learn_control(self, prepared: Prepared, plan: Plan, memory: Memory, seed: int) -> None:
        """Fit the control with the terms of the plan, for people who all answer alike."""
        control = self._control(seed)
        plan = Plan(plan.terms.plain, plan.ridge_choice, plan.blocks)
        learn(control, prepared, plan, run_fit(control, prepared, plan.terms, 1, memory, seed))
        self.control_ = control

    def _control(self, rng: RNG) -> BradleyTerry:
        return pooled_control(self, uncertainty=getattr(self, "uncertainty", False), rng=rng)

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        if "control_" not in document:
            # an earlier version wrote the state alone
            parameters = self._control(document["control_rng"]).get_params(deep=False)
            whole = {"kind": "BradleyTerry", "parameters": parameters, "state": document["control"]}
            document = {**document, "control_": whole}
            arrays = {name.replace("control/", "control_/", 1): value for name, value in arrays.items()}
        super()._set_state(document, arrays)
