"""What went wrong, and for whom: checks of fitted models and of policies."""

from __future__ import annotations

# Not lazy: a function has the name of its file, which a later import of the file would put in its place.
from pluralism.diagnostics.single_reward_gap import SingleRewardGap, single_reward_gap, single_reward_gap_of_model

__all__ = ["SingleRewardGap", "single_reward_gap", "single_reward_gap_of_model"]
