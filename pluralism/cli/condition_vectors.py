"""Steering vectors of groups, kept in the folder of the experiment: one is made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluralism.files import Checkpoint
from pluralism.policy.lm.conditioning.steering_vector import SteeringVector
from pluralism.policy.lm.run_folder import weights_digest

if TYPE_CHECKING:
    from pluralism.policy.lm.conditioned_pairs import ConditionedPairs
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["steering_vectors"]

FOLDER = "vectors"


def steering_vectors(
    model: LanguageModel, pairs: ConditionedPairs, groups: Sequence[str], out: Path
) -> dict[str, SteeringVector]:
    """The mean difference of each group's pairs, as it was found before for the same weights and pairs."""
    kept, weights = Checkpoint(out / FOLDER), weights_digest(model.network)
    made = {}
    for group in groups:
        own = pairs.of_group(group)
        rows = json.dumps([weights, own.prompts, own.chosen, own.rejected])
        key = f"{group} {hashlib.sha256(rows.encode()).hexdigest()}"
        found = kept.get(key)
        if found is not None:
            made[group] = SteeringVector(found[0]["vector"], **found[1])
            continue
        made[group] = vector = SteeringVector.from_pairs(model, own.prompts, own.chosen, own.rejected)
        facts = {"layer": vector.layer, "method": vector.method, "model": vector.model, "n_pairs": vector.n_pairs}
        kept.put(key, {"vector": vector.vector}, facts)
    return made
