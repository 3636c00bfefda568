"""Beliefs that are passed around as if they were new evidence: when trust locks everybody in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["TRUST_PRESETS", "BeliefRun", "TrustDial"]

TRUST_PRESETS = {"below": 0.9, "critical": 1.0, "above": 1.1}


@dataclass(frozen=True, eq=False, repr=False)
class BeliefRun:
    """Errors of belief over time.

    Attributes
    ----------
    beliefs : array of shape (rounds, batch, users)
        Belief less truth; the last user is the model.
    deviation : array of shape (rounds,)
        Exact standard deviation of the model's error.
    product : float
        The trust product.
    """

    beliefs: Float[np.ndarray, "rounds batch users"]
    deviation: Float[np.ndarray, " rounds"]
    product: float

    @property
    def remaining(self) -> float:
        """The model's error at the end relative to that at half time: 0.71 or less where evidence still teaches."""
        return float(self.deviation[-1] / self.deviation[len(self.deviation) // 2])

    def __repr__(self) -> str:
        return (
            f"BeliefRun(trust product {self.product:.3g}: error {self.deviation[-1]:.3g} after "
            f"{len(self.deviation)} rounds, {self.remaining:.2f} of that at half time)"
        )


@dataclass(frozen=True)
class TrustDial:
    r"""People who trust a model that is trained on what they believe.

    Each person gets one observation of the truth a round, with unit variance. A belief is the evidence a person holds:
    all own observations, and what the others believed in the round before, counted with the trust in them as if it
    were independent:

    .. math:: n_{i,t} = t + \sum_j W_{ij} n_{j,t-1}, \qquad
       n_{i,t} m_{i,t} = \sum_{s \le t} y_{i,s} + \sum_j W_{ij} n_{j,t-1} m_{j,t-1}

    (the model has no observations of its own). With people's trust :math:`\lambda_1` in the model and its trust
    :math:`\lambda_2` in each of them, the spectral radius of W is the root of :math:`\Lambda = (N-1) \lambda_1
    \lambda_2`. Below 1, evidence grows linearly and the truth is learned. Above 1, beliefs grow geometrically by being
    repeated, early errors outweigh all later evidence, and everybody is locked in.

    Parameters
    ----------
    n_people : int
        N - 1.
    trust_in_model, trust_in_people : float
        :math:`\lambda_1, \lambda_2`, at least 0.

    References
    ----------
    T. Qiu et al., "The lock-in hypothesis: stagnation by algorithm", ICML 2025, arXiv:2506.06166.

    Examples
    --------
    >>> TrustDial.preset("above").product
    1.1
    """

    n_people: int = 10
    trust_in_model: float = 1.0
    trust_in_people: float = 0.09

    def __post_init__(self) -> None:
        if self.n_people < 1 or not min(self.trust_in_model, self.trust_in_people) >= 0:
            raise UsageError("There must be a person, and trust cannot be negative.", fix="Raise n_people or trust.")

    @classmethod
    def preset(cls, name: str, n_people: int = 10) -> TrustDial:
        """The dial just below, at, or just above 1: "below" (0.9), "critical" (1.0), "above" (1.1)."""
        if name not in TRUST_PRESETS:
            raise UsageError(f"There is no preset {name!r}.", fix=f"Use one of {', '.join(TRUST_PRESETS)}.")
        return cls(n_people, 1.0, TRUST_PRESETS[name] / n_people)

    @property
    def product(self) -> float:
        r""":math:`\Lambda`."""
        return self.n_people * self.trust_in_model * self.trust_in_people

    @property
    def matrix(self) -> Float[np.ndarray, "users users"]:
        """W; the last row and column are the model's."""
        made = np.zeros((self.n_people + 1, self.n_people + 1))
        made[:-1, -1], made[-1, :-1] = self.trust_in_model, self.trust_in_people
        return made

    def simulate(self, n_rounds: int = 200, n_runs: int = 200, *, rng: RNG = None) -> BeliefRun:
        """Let beliefs be exchanged; the truth is 0.

        Raises
        ------
        UsageError
            If there are fewer than 4 rounds, or so many that the evidence overflows.
        """
        growth = max(1.0, math.sqrt(self.product))
        if n_rounds < 4 or n_rounds * math.log(growth) > 300:
            raise UsageError(f"{n_rounds} rounds cannot be simulated.", fix="Use at least 4, or fewer.")
        noise = as_generator(rng, "trust").standard_normal((n_rounds, n_runs, self.n_people))
        trust = self.matrix
        own = np.append(np.ones(self.n_people), 0.0)
        total = np.zeros((n_runs, self.n_people + 1))
        evidence, weighed = np.zeros(self.n_people + 1), np.zeros((n_runs, self.n_people + 1))
        beliefs = np.zeros((n_rounds, n_runs, self.n_people + 1))
        deviation = np.empty(n_rounds)
        # powers[k] = e_model' W^k restricted to people: what an observation counts for k rounds later.
        carried = np.zeros((n_rounds, self.n_people))
        row = np.zeros(self.n_people + 1)
        row[-1] = 1.0
        for t in range(n_rounds):
            total[:, :-1] += noise[t]
            evidence = (t + 1) * own + trust @ evidence
            weighed = total + weighed @ trust.T
            # In the first round the model has heard nobody and believes nothing but its start.
            known = evidence > 0
            beliefs[t][:, known] = weighed[:, known] / evidence[known]
            carried[t] = row[:-1]
            row = row @ trust
            # An observation of round s enters the total of every later round.
            weights = np.cumsum(carried[: t + 1], axis=0)
            deviation[t] = math.sqrt(float(np.square(weights).sum())) / evidence[-1] if known[-1] else math.nan
        return BeliefRun(beliefs, deviation, self.product)
