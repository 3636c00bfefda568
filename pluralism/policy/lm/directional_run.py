"""What a run of directional tuning brought, round by round: fronts by direction, their volume, and what follows v."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import UsageError
from pluralism.models.pareto import Front
from pluralism.policy.lm.direction_trend import Trend, direction_trend, elevation
from pluralism.policy.lm.signed_front import SignedVolumes, signed_front, signed_volumes

if TYPE_CHECKING:
    import pyarrow as pa

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["DirectionalRun"]


@dataclass(frozen=True, eq=False, repr=False)
class DirectionalRun:
    """A run of `DirectionalTuning`; entry 0 of everything is the start, before the first round.

    Attributes
    ----------
    attributes : tuple of str
    directions : array of shape (directions, attributes)
        Unit directions that were shown.
    taken : array of shape (rounds + 1, directions, prompts, attributes)
        Mean attributes of the responses to each prompt, in the units that directions weigh.
    n_tokens : array of shape (rounds + 1, directions)
        Mean length of responses.
    kl : array of shape (rounds + 1, directions)
        Mean of log pi - log pi_0 over responses, in nats, given the direction: an estimate of the KL from the start.
    reference : array of shape (attributes,)
        From where volumes are measured.
    counts : array of shape (draws, prompts)
        Weight of each prompt in each bootstrap draw.
    folders : tuple of Path
        Where the model of each round lies; the start has none.
    """

    attributes: tuple[str, ...]
    directions: Float[np.ndarray, "directions attributes"]
    taken: Float[np.ndarray, "rounds_plus_1 directions prompts attributes"]
    n_tokens: Float[np.ndarray, "rounds_plus_1 directions"]
    kl: Float[np.ndarray, "rounds_plus_1 directions"]
    reference: Float[np.ndarray, " attributes"]
    counts: Float[np.ndarray, "draws prompts"]
    folders: tuple[Path, ...]

    @property
    def n_rounds(self) -> int:
        """Without the start."""
        return len(self.taken) - 1

    @property
    def reward(self) -> Float[np.ndarray, "rounds_plus_1 directions"]:
        """Mean of v . attributes under each direction."""
        return np.einsum("rdpk,dk->rd", self.taken, self.directions) / self.taken.shape[2]

    @cached_property
    def volumes(self) -> SignedVolumes:
        """Hypervolume of each round's front, and the gain of the last over the start, with intervals."""
        return signed_volumes(self.taken, self.counts, self.directions, self.reference)

    @cached_property
    def fronts(self) -> tuple[Front, ...]:
        """Mean attributes by direction of each round, with bands.

        `on_front` and the volume see an attribute from both sides where directions ask for more and for less of it.
        """
        fronts, volumes = [], self.volumes
        for r, taken in enumerate(self.taken):
            low, high = np.quantile(np.einsum("bp,dpk->bdk", self.counts, taken), [0.025, 0.975], axis=0)
            mean = taken.mean(axis=1)
            fronts.append(
                Front(
                    list(self.attributes),
                    self.directions,
                    mean,
                    low,
                    high,
                    on_front=signed_front(mean, self.directions),
                    hypervolume=float(volumes.value[r]),
                    hypervolume_low=float(volumes.low[r]),
                    hypervolume_high=float(volumes.high[r]),
                    reference=self.reference,
                    n_pools=taken.shape[1],
                )
            )
        return tuple(fronts)

    def trend(self, attribute: str, *, round: int = -1) -> Trend:
        """Whether an attribute follows the angle at which directions ask for it, in one of the rounds.

        Raises
        ------
        UsageError
            An unknown attribute, a round that was not, or directions that all weigh the attribute alike.
        """
        if attribute not in self.attributes:
            raise UsageError(f"There is no attribute {attribute!r}.", fix=f"Choose among {', '.join(self.attributes)}.")
        if not -len(self.taken) <= round < len(self.taken):
            raise UsageError(f"There is no round {round}.", fix=f"Rounds are 0, the start, to {self.n_rounds}.")
        k = self.attributes.index(attribute)
        return direction_trend(
            self.taken[round, :, :, k], elevation(self.directions, k), self.counts, attribute=attribute
        )

    def model(self, round: int = -1) -> LanguageModel:
        """Load the model of a round, by default of the last; the first is 1."""
        from pluralism.policy.lm.language_model import LanguageModel

        number = round if round >= 0 else len(self.taken) + round
        if not 1 <= number <= self.n_rounds:
            raise UsageError(f"Round {round} has no model of its own.", fix=f"Rounds are 1 to {self.n_rounds}.")
        return LanguageModel.load(self.folders[number - 1])

    def to_frame(self) -> pa.Table:
        """One row a round and direction.

        `round, reward, kl, n_tokens, on_front`, and for each attribute `direction_*`, `mean_*`, `low_*`, `high_*`.
        """
        import pyarrow as pa

        rounds, directions = self.reward.shape
        columns: dict[str, Any] = {
            "round": np.repeat(np.arange(rounds), directions),
            "reward": self.reward.ravel(),
            "kl": self.kl.ravel(),
            "n_tokens": self.n_tokens.ravel(),
            "on_front": np.concatenate([front.on_front for front in self.fronts]),
        }
        for k, name in enumerate(self.attributes):
            columns[f"direction_{name}"] = np.tile(self.directions[:, k], rounds)
            for part in ("mean", "low", "high"):
                columns[f"{part}_{name}"] = np.concatenate([getattr(front, part)[:, k] for front in self.fronts])
        return pa.table(columns)

    def to_json(self, *, indent: int | None = None) -> str:
        """`attributes`, `reference`, `hypervolume` with intervals, `gain`, and the rows of `to_frame`, as JSON."""
        v = self.volumes
        document = {
            "attributes": self.attributes,
            "reference": self.reference,
            "hypervolume": v.value,
            "hypervolume_interval": np.stack([v.low, v.high], axis=1),
            "gain": v.gain,
            "gain_interval": [v.gain_low, v.gain_high],
            "rows": self.to_frame().to_pylist(),
        }
        return json.dumps(json_ready(document), allow_nan=False, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        v = self.volumes
        table = format_table(
            {
                "round": [str(i) for i in range(len(self.taken))],
                "hypervolume": v.value.tolist(),
                "low": v.low.tolist(),
                "high": v.high.tolist(),
                "reward": self.reward.mean(axis=1).tolist(),
                "KL": self.kl.mean(axis=1).tolist(),
                "tokens": self.n_tokens.mean(axis=1).tolist(),
            },
            digits=3,
        )
        return f"{table}\ngain over the start {v.gain:.3f} ({v.gain_low:.3f} to {v.gain_high:.3f})"
