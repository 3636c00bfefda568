r"""Convex sets of group weights, each of which is a welfare rule: its welfare is the least of w.u over the set.

For a set W, :math:`V(u) = \min_{w \in W} w \cdot u` is concave, and by minimax (Sion 1958)

.. math:: \max_q V(u(q)) - \beta\,KL(q \| p) = \min_{w \in W} \beta \log E_p e^{w \cdot R / \beta}.

=================== ========================================================= ====================================
set                 weights                                                   welfare
=================== ========================================================= ====================================
simplex             :math:`w \ge 0, \sum w = 1`                               MaxMin
cvar                also :math:`w_k \le s_k / \alpha`                         mean of the worst share alpha
chi_square_ball     also :math:`\sum (w_k - s_k)^2 / s_k \le r`               distributionally robust mean
kl_ball             also :math:`\sum w_k \log(w_k / s_k) \le r`               distributionally robust mean
power_mean          :math:`\sum s_k (w_k / s_k)^{\rho'} \ge 1` (< for         :math:`(\sum s_k u_k^\rho)^{1/\rho}`
                    :math:`\rho' < 0`), :math:`1/\rho + 1/\rho' = 1`
nash                :math:`w > 0`, at the price :math:`-\sum s_k \log(w_k     :math:`\sum s_k \log u_k`
                    / s_k) - 1`
=================== ========================================================= ====================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from pluralism.errors import UsageError
from pluralism.solvers.weight_set_kernels import BOX, CHI_SQUARE, KL, NASH, POWER, worst_each

__all__ = ["WeightSet"]

Shares = Float[np.ndarray, " groups"]


@dataclass(frozen=True, eq=False)
class WeightSet:
    """A set of weights of groups; make one by a class method.

    Attributes
    ----------
    kind : int
        Which constraint beside bounds, as in `weight_set_kernels`.
    total : bool
        Whether the weights sum to 1.
    members : bool array of shape (groups,)
        Groups that may have weight: those of no share count only for MaxMin.
    share : array of shape (members,)
        The middle of the set, summing to 1.
    cap : array of shape (members,)
        Largest weights; infinite where there is none.
    level : float
        Radius of a ball, or the conjugate exponent of a power mean.
    """

    kind: int
    total: bool
    members: Bool[np.ndarray, " groups"]
    share: Float[np.ndarray, " members"]
    cap: Float[np.ndarray, " members"]
    level: float = 0.0

    @classmethod
    def simplex(cls, n_groups: int, members: Bool[np.ndarray, " groups"] | None = None) -> WeightSet:
        """All weights: MaxMin; of some of the groups, where `members` are given."""
        members = np.ones(n_groups, bool) if members is None else np.asarray(members, dtype=bool)
        n = int(members.sum())
        return cls(BOX, True, members, np.full(n, 1.0 / n), np.full(n, np.inf))

    @classmethod
    def cvar(cls, shares: Shares, alpha: float) -> WeightSet:
        """The mean utility of the worst-off share alpha of the population, in (0, 1)."""
        if not 0.0 < alpha < 1.0:
            raise UsageError(
                f"alpha={alpha} is no share of the population.",
                fix="Give one above 0 and below 1; with all of it, the rule is the utilitarian one.",
            )
        members, share = _positive(shares)
        # a group that may have all the weight has no bound that could hold
        return cls(BOX, True, members, share, np.where(share < alpha, share / alpha, np.inf))

    @classmethod
    def chi_square_ball(cls, shares: Shares, radius: float) -> WeightSet:
        """Weights within a chi-square divergence of the shares."""
        members, share = _positive(shares)
        kind = CHI_SQUARE if _radius(radius) < 1.0 / share.min() - 1.0 else BOX
        return cls(kind, True, members, share, np.full(len(share), np.inf), float(radius))

    @classmethod
    def kl_ball(cls, shares: Shares, radius: float) -> WeightSet:
        """Weights within a KL divergence of the shares, in nats."""
        members, share = _positive(shares)
        kind = KL if _radius(radius) < -np.log(share.min()) else BOX
        return cls(kind, True, members, share, np.full(len(share), np.inf), float(radius))

    @classmethod
    def power_mean(cls, shares: Shares, exponent: float) -> WeightSet:
        """The power mean with this exponent, finite and below 1; 0 is the geometric mean."""
        if not (np.isfinite(exponent) and exponent < 1.0):
            raise UsageError(
                f"exponent={exponent} is no exponent of a concave power mean with a set of weights.",
                fix="Give a finite one below 1: 1 is the utilitarian rule, minus infinity MaxMin.",
            )
        members, share = _positive(shares)
        conjugate = exponent / (exponent - 1.0)
        return cls(POWER, False, members, share, np.full(len(share), np.inf), conjugate)

    @classmethod
    def nash(cls, shares: Shares) -> WeightSet:
        """Nash welfare: the shares' mean of the logarithms of the utilities."""
        members, share = _positive(shares)
        return cls(NASH, False, members, share, np.full(len(share), np.inf))

    @property
    def positive(self) -> bool:
        """Whether the rule needs positive utilities."""
        return not self.total

    @property
    def logarithmic(self) -> bool:
        """Whether welfare is a logarithm, on which units of utility do not bear."""
        return self.kind == NASH

    @property
    def curved(self) -> bool:
        """Whether bounds and the total are not all there is."""
        return self.kind in (CHI_SQUARE, KL, POWER)

    @property
    def arguments(self) -> tuple[int, bool, np.ndarray, np.ndarray, float]:
        """What the kernels take."""
        return self.kind, self.total, self.share, self.cap, self.level

    def inner(self, values: Float[np.ndarray, "*axes groups"]) -> Float[np.ndarray, "*axes members"]:
        """Of the members alone; no copy where these are all."""
        return values if self.members.all() else values[..., self.members]

    def worst(
        self, utilities: Float[np.ndarray, "problems groups"]
    ) -> tuple[Float[np.ndarray, " problems"], Float[np.ndarray, "problems groups"]]:
        """Welfare of utilities, and weights of the set at which it is reached.

        Welfare is -inf where a utility that must be positive is not.
        """
        inner = np.ascontiguousarray(self.inner(utilities), dtype=np.float64)
        value, weights = np.empty(len(inner)), np.empty_like(inner)
        worst_each(*self.arguments, inner, value, weights)
        return value, self.spread(weights)

    def spread(self, weights: Float[np.ndarray, "problems members"]) -> Float[np.ndarray, "problems groups"]:
        """Weights of all groups from those of the members."""
        out = np.zeros((len(weights), len(self.members)))
        out[:, self.members] = weights
        return out


def _positive(shares: Shares) -> tuple[Bool[np.ndarray, " groups"], Float[np.ndarray, " members"]]:
    given = np.asarray(shares, dtype=np.float64)
    if given.ndim != 1 or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise UsageError("Shares of groups are numbers of at least 0, not all 0.", fix="Give one for each group.")
    members = given > 0
    return members, given[members] / given.sum()


def _radius(radius: float) -> float:
    if not (np.isfinite(radius) and radius > 0):
        raise UsageError(
            f"radius={radius} is no radius of a ball of weights.",
            fix="Give a finite number above 0; with none, the rule is the utilitarian one.",
        )
    return float(radius)
