"""Newton, quasi-Newton and EM solvers as pure functions over arrays; they know nothing of users' files or models.

The common object is a `PairProblem`: rows sorted by user, items by code. All models with a linear head share one
likelihood pass over it (`pair_pass`), one optimiser (`minimise`) and one preconditioner (`BlockPreconditioner`).
"""

from pluralism.solvers.evidence import item_variance_by_evidence
from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.item_bradley_terry import fit_item_bradley_terry
from pluralism.solvers.laplace import LaplacePosterior, laplace_posterior
from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.mixture import MixtureFit, fit_hard_mixture, fit_mixture
from pluralism.solvers.objective import MixtureObjective, Terms
from pluralism.solvers.pairs import PairProblem, group_log_likelihood, pair_pass
from pluralism.solvers.threads import suitable_threads

__all__ = [
    "FeatureMatrix",
    "LaplacePosterior",
    "Minimum",
    "MixtureFit",
    "MixtureObjective",
    "PairProblem",
    "Terms",
    "fit_hard_mixture",
    "fit_item_bradley_terry",
    "fit_mixture",
    "group_log_likelihood",
    "item_variance_by_evidence",
    "laplace_posterior",
    "minimise",
    "pair_pass",
    "suitable_threads",
]
