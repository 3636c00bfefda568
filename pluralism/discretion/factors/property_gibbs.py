"""The whole posterior of property weights by Polya-Gamma Gibbs sampling: exact, and fast where nobody ties.

Given omega_i ~ PG(w_i, z_i) the coefficients are normal; given these, the variance of a level with a half-normal prior
on its square root is generalised inverse Gaussian. No step is tuned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse import csr_array
from scipy.stats import geninvgauss

from pluralism.errors import UsageError
from pluralism.random import as_generator
from pluralism.solvers.polya_gamma_draws import draw_polya_gamma

if TYPE_CHECKING:
    from pluralism.discretion.factors.property_weights import PropertyDesign

__all__ = ["gibbs_properties"]

FIRST_VARIANCE = 0.1


def gibbs_properties(
    design: PropertyDesign, prior_sd: float, draws: int, seed: int
) -> tuple[Float[np.ndarray, "draws parameters"], dict[str, float]]:
    """Draws of the coefficients, after as many to warm up, and posterior means of the levels' standard deviations.

    Raises
    ------
    UsageError
        If somebody ties, or a weight is no whole number.

    References
    ----------
    N. G. Polson, J. G. Scott, J. Windle, JASA 108, 2013.
    """
    yes, no, tie = design.counts.T
    times = np.rint(yes + no).astype(np.int64)
    if tie.any() or np.abs(times - (yes + no)).max() > 1e-9:
        raise UsageError(
            "Polya-Gamma draws are of answers that are no ties, and count in whole numbers.",
            fix='Use method="laplace" or "nuts".',
        )
    problem = design.problem
    n, size = len(times), len(problem.precision)
    place = np.repeat(np.arange(n), problem.index.shape[1])
    x = csr_array((problem.value.ravel(), (place, problem.index.ravel())), shape=(n, size))
    towards = x.T @ (0.5 * (yes - no))
    # a row that counts several times has the sum of as many draws
    row = np.repeat(np.arange(n), times)
    rng = as_generator(seed, "property weights")
    variances = dict.fromkeys(design.labels, FIRST_VARIANCE)
    theta, kept = np.zeros(size), np.empty((draws, size))
    spread = {level: np.empty(draws) for level in design.labels}
    for step in range(-draws, draws):
        z = x @ theta
        omega = np.bincount(row, draw_polya_gamma(z[row], rng), n)
        precision = (x.T @ (x * omega[:, None])).toarray()
        precision[np.diag_indices(size)] += design.with_variances(prior_sd, variances).precision
        root = cholesky(precision)
        # the mean, and noise whose covariance is the inverse of the precision
        mean = solve_triangular(root, towards, trans="T")
        theta = solve_triangular(root, mean + rng.standard_normal(size))
        for level in design.labels:
            part = theta[design.block(level)]
            variances[level] = _variance(len(part), float(part @ part), rng)
        if step >= 0:
            kept[step] = theta
            for level, variance in variances.items():
                spread[level][step] = np.sqrt(variance)
    return kept, {level: float(values.mean()) for level, values in spread.items()}


def _variance(n: int, squares: float, rng: np.random.Generator) -> float:
    """Draw of v with density v^(-(n + 1) / 2) exp(-squares / (2 v) - v / 2)."""
    # geninvgauss(p, b) has density x^(p - 1) exp(-b (x + 1 / x) / 2); v = x sqrt(squares)
    root = np.sqrt(max(squares, 1e-12))
    return float(geninvgauss.rvs((1 - n) / 2, root, scale=root, random_state=rng))
