"""Self-play preference optimisation on candidates: multiplicative weights against oneself, and its loss."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from pluralism.calibration.text import json_ready
from pluralism.errors import UsageError
from pluralism.models.settings import is_whole
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.preference_game import PreferenceGame
from pluralism.solvers.preference_games import multiplicative_weights

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SelfPlay", "self_play"]


@dataclass(frozen=True, eq=False, repr=False)
class SelfPlay:
    """A run of `self_play`.

    Attributes
    ----------
    policy : FinitePolicy
        The average of all rounds, which is what converges.
    last : FinitePolicy
        The last round, which may go in circles.
    exploitability, last_exploitability : arrays of shape (rounds, prompts)
        Of the average up to each round, and of each round's policy.
    bound : array of shape (rounds, prompts)
        What theory allows the average.
    eta : array of shape (prompts,)
        Learning rates.
    """

    policy: FinitePolicy
    last: FinitePolicy
    exploitability: Float[np.ndarray, "rounds prompts"]
    last_exploitability: Float[np.ndarray, "rounds prompts"]
    bound: Float[np.ndarray, "rounds prompts"]
    eta: Float[np.ndarray, " prompts"]

    def to_frame(self) -> pa.Table:
        """Columns `round, exploitability, last_exploitability, bound`: the largest over prompts."""
        import pyarrow as pa

        columns = {name: getattr(self, name).max(axis=1) for name in ("exploitability", "last_exploitability", "bound")}
        return pa.table({"round": np.arange(1, len(self.exploitability) + 1), **columns})

    def to_json(self, *, indent: int | None = None) -> str:
        """The policy's summary, the learning rates, and the columns of `to_frame`, as JSON."""
        document = {"policy": self.policy.summary(), "eta": self.eta, **self.to_frame().to_pydict()}
        return json.dumps(json_ready(document), allow_nan=False, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return (
            f"SelfPlay({len(self.exploitability):,} rounds: exploitability {self.exploitability[-1].max():.3g}, "
            f"at most {self.bound[-1].max():.3g}; of the last round {self.last_exploitability[-1].max():.3g})\n"
            f"{self.policy!r}"
        )


def self_play(
    game: PreferenceGame,
    *,
    n_rounds: int = 1000,
    eta: float | None = None,
    start: Literal["reference", "uniform"] = "reference",
) -> SelfPlay:
    r"""Play :math:`q_{t+1} \propto q_t\,e^{\eta P q_t}`: the exact form of self-play preference optimisation [1]_.

    The average of T rounds is exploitable by at most :math:`\sqrt{L / (2T)}`, L being the largest log 1/q_1(y): log of
    the number of candidates from a uniform start. With intransitive preferences the rounds themselves need not
    converge.

    Parameters
    ----------
    game : PreferenceGame
    n_rounds : int
    eta : float, optional
        Learning rate, above 0; :math:`\sqrt{8 L / T}` of each prompt by default, which makes the bound smallest.
    start : {"reference", "uniform"}
        A candidate of little reference probability takes long to come up: the uniform start has the better bound.

    Returns
    -------
    SelfPlay
        The policy's certificate has what it wins at worst beside 1/2, the value of the game: the gap is its
        exploitability.

    References
    ----------
    .. [1] Y. Wu et al., "Self-play preference optimization for language model alignment", arXiv:2405.00675, theorem
       4.1; Y. Freund and R. Schapire, "Adaptive game playing using multiplicative weights", 1999.

    Examples
    --------
    >>> stone_scissors_paper = [[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]]
    >>> game = PreferenceGame.from_matrix(stone_scissors_paper, reference=[0.6, 0.3, 0.1])
    >>> play = self_play(game, n_rounds=20_000)
    >>> play.policy.probs.round(2)
    array([[0.33, 0.33, 0.33]])
    >>> bool(play.exploitability[-1] <= play.bound[-1]), bool(play.last_exploitability[-1] > 0.1)
    (True, True)
    """
    if not is_whole(n_rounds) or (eta is not None and not (np.isfinite(eta) and eta > 0)):
        raise UsageError(
            f"n_rounds={n_rounds!r}, eta={eta!r} are not possible.", fix="Give at least 1 round and a positive rate."
        )
    if start not in ("reference", "uniform"):
        raise UsageError(f"start={start!r} is not possible.", fix='It is "reference" or "uniform".')
    utilities = game.utilities
    first = utilities.log_reference
    if start == "uniform":
        first = np.where(utilities.mask, -np.log(utilities.mask.sum(axis=1, keepdims=True)), -np.inf)
    found = multiplicative_weights(game.preferences, first, n_rounds, eta)
    gap = found.average_exploitability[-1]
    certificate = Certificate("max_q min_z Pr(q beats z)", 0.5 - gap, np.full(len(gap), 0.5))
    method = f"self-play, {n_rounds:,} rounds from the {start} policy"
    return SelfPlay(
        FinitePolicy(found.log_average, utilities, f"{method} (average)", certificate),
        FinitePolicy(found.log_last, utilities, f"{method} (last)"),
        found.average_exploitability,
        found.last_exploitability,
        found.bound,
        found.eta,
    )
