"""Newton, quasi-Newton and EM solvers as pure functions over arrays; they know nothing of users' files or models.

The common object is a `PairProblem`: rows sorted by user, items by code. All models with a linear head share one
likelihood pass over it (`pair_pass`), one optimiser (`minimise`) and one preconditioner (`BlockPreconditioner`).
"""

from pluralism.solvers.evidence import item_variance_by_evidence
from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.gaussian_users import (
    FactorFit,
    FactorTerms,
    GaussianUsers,
    Placement,
    fit_gaussian_users,
    place_users,
)
from pluralism.solvers.item_bradley_terry import fit_item_bradley_terry
from pluralism.solvers.laplace import LaplacePosterior, laplace_posterior
from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.mixture import MixtureFit, fit_hard_mixture, fit_mixture
from pluralism.solvers.objective import MixtureObjective, Parameters, Terms
from pluralism.solvers.pairs import PairProblem, group_log_likelihood, pair_pass
from pluralism.solvers.placed_factors import placed_logits, placed_proba
from pluralism.solvers.threads import suitable_threads
from pluralism.solvers.tie_propensity import fit_tie_propensity, place_tie_propensity, tie_offset

__all__ = [
    "FactorFit",
    "FactorTerms",
    "FeatureMatrix",
    "GaussianUsers",
    "LaplacePosterior",
    "Minimum",
    "MixtureFit",
    "MixtureObjective",
    "PairProblem",
    "Parameters",
    "Placement",
    "Terms",
    "fit_gaussian_users",
    "fit_hard_mixture",
    "fit_item_bradley_terry",
    "fit_mixture",
    "fit_tie_propensity",
    "group_log_likelihood",
    "item_variance_by_evidence",
    "laplace_posterior",
    "minimise",
    "pair_pass",
    "place_tie_propensity",
    "place_users",
    "placed_logits",
    "placed_proba",
    "suitable_threads",
    "tie_offset",
]
