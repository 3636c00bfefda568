"""The Bayesian mixture in Pyro: stochastic variational inference and NUTS, groups summed out by enumeration.

The model is that of the deterministic fit. A user's group is a discrete site that is enumerated in parallel
(`TraceEnum_ELBO` and its counterpart for NUTS) and never sampled; a user's rows are summed before that, so the cost is
that of one product with the features a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, logit, softmax

from pluralism.extras import require
from pluralism.models.bayesian_posterior import BayesianPosterior
from pluralism.models.preparation import Prepared
from pluralism.solvers.annotators import Manner, annotator_pass

if TYPE_CHECKING:
    from pluralism.models.bayesian_mixture import BayesianMixture

__all__ = ["MixtureProgram", "sample"]

Tell = Callable[[str, int, float], None]
POSTERIOR_DRAWS = 200
START_SCALE = 0.05
TOLD_EVERY = 25
ROWS_WORTH_THREADS = 20_000
ONE_SD = 0.8413447460685429


class MixtureProgram:
    """The generative program, and what it says of users given coefficients and weights.

    Parameters
    ----------
    prepared : Prepared
    prior : BayesianPosterior
        Its centre and precisions are those of the prior, its number of groups is the truncation.
    concentration : float
    """

    def __init__(self, prepared: Prepared, prior: BayesianPosterior, concentration: float) -> None:
        import torch

        problem = prepared.problem
        self.problem, self.concentration = problem, concentration
        size, self.n_groups = prior.mean.shape
        self.dim = 0 if problem.features is None else problem.features.dim
        self.n_effects = 0 if prior.item_precision is None else problem.n_items
        precision = np.ones(size)
        precision[: self.dim] = prior.ridge
        precision[self.dim : self.dim + self.n_effects] = prior.item_precision or 1.0
        self.centre, self.sd = torch.from_numpy(prior.centre), torch.from_numpy(precision**-0.5)
        self.features = None
        if problem.features is not None:
            self.features = torch.tensor(np.asarray(problem.features.array), dtype=torch.float64)
        self.left, self.right = torch.tensor(problem.left).long(), torch.tensor(problem.right).long()
        self.user = torch.from_numpy(problem.user)
        self.weight = torch.tensor(problem.weight)
        self.outcome, self.design = torch.tensor(problem.outcome)[:, None], torch.tensor(problem.design)
        self.annotators = prior.annotators

    def evidence(self, coefficients: Any) -> Any:
        """Log-likelihood of every user under every group, (users, groups), from (groups, coefficients)."""
        import torch

        head, item, covariate = torch.split(
            coefficients, [self.dim, self.n_effects, coefficients.shape[1] - self.dim - self.n_effects], dim=1
        )
        scores = torch.zeros((self.problem.n_items, len(coefficients)), dtype=torch.float64)
        if self.features is not None:
            scores = scores + self.features @ head.T
        if self.n_effects:
            scores = scores + item.T
        z = scores[self.left] - scores[self.right] + self.design @ covariate.T
        total = torch.zeros((self.problem.n_users, len(coefficients)), dtype=torch.float64)

        def by_user(row: Any) -> Any:
            return total.index_add(0, self.user, self.weight[:, None] * row)

        def alike(z: Any) -> Any:
            return (self.outcome - 0.5) * z - torch.logaddexp(0.5 * z, -0.5 * z)

        if self.annotators is None:
            return by_user(alike(z))
        # kinds are summed out as the deterministic fit does; their population is that fit's
        kinds, y = [], self.outcome
        for t, log_temperature in enumerate(self.annotators.log_temperature):
            at = float(np.exp(log_temperature)) * z
            for e, lapse in enumerate(self.annotators.lapse):
                row = alike(at)
                if lapse > 0:
                    p = (1.0 - lapse) * torch.sigmoid(at) + 0.5 * lapse
                    row = y * torch.log(p) + (1.0 - y) * torch.log1p(-p)
                kinds.append(by_user(row) + float(self.annotators.log_shares[t, e]))
        return torch.logsumexp(torch.stack(kinds), dim=0)

    def weights(self, sticks: Any) -> Any:
        """Group weights of sticks (groups - 1,)."""
        import torch

        one = torch.ones(1, dtype=torch.float64)
        return torch.cat([sticks, one]) * torch.cumprod(torch.cat([one, 1.0 - sticks]), dim=0)

    def __call__(self) -> None:
        """The program."""
        import pyro
        import pyro.distributions as dist
        import torch
        from pyro.ops.indexing import Vindex

        prior = dist.Normal(self.centre, self.sd).expand([self.n_groups, len(self.sd)]).to_event(2)
        evidence = self.evidence(pyro.sample("coefficients", prior))
        one = torch.ones(self.n_groups - 1, dtype=torch.float64)
        weights = torch.ones(1, dtype=torch.float64)
        if self.n_groups > 1:
            sticks = pyro.sample("sticks", dist.Beta(one, self.concentration * one).to_event(1))
            weights = self.weights(sticks)
        with pyro.plate("users", self.problem.n_users):
            group = pyro.sample("group", dist.Categorical(weights), infer={"enumerate": "parallel"})
            pyro.factor("answers", Vindex(evidence)[torch.arange(self.problem.n_users), group])

    def responsibility(
        self, coefficients: Float[np.ndarray, "groups coefficients"], weights: Float[np.ndarray, " groups"]
    ) -> Float[np.ndarray, "users groups"]:
        """P(group of each user) given one draw of the parameters."""
        import torch

        evidence = self.evidence(torch.from_numpy(np.ascontiguousarray(coefficients))).numpy()
        return softmax(evidence + np.log(np.maximum(weights, 1e-300)), axis=1)


def _manner(
    program: MixtureProgram, mean: Float[np.ndarray, "coefficients groups"], weights: Float[np.ndarray, " groups"]
) -> Manner | None:
    """How each user answers, given the means of the heads."""
    if program.annotators is None:
        return None
    head, item, covariate = np.split(mean, [program.dim, program.dim + program.n_effects])
    features = program.problem.features
    scores = np.zeros((program.problem.n_items, mean.shape[1])) if features is None else features.matmul(head)
    scores = scores + item if program.n_effects else scores
    log_weights = np.log(np.maximum(weights, 1e-300))
    found = annotator_pass(program.problem, scores, covariate, log_weights, program.annotators, gradient=False)
    return found.manner


def sample(
    model: BayesianMixture, prepared: Prepared, start: BayesianPosterior, tell: Tell, seed: int
) -> BayesianPosterior:
    """The posterior by Pyro, from the deterministic fit on.

    Raises
    ------
    MissingExtraError
        If Pyro is not installed.
    """
    require("pyro", extra="bayes", purpose=f'engine="{model.engine}"')
    import pyro
    import torch

    program = MixtureProgram(prepared, start, float(model.concentration))
    mean_weights = np.maximum(start.weight_draws.mean(axis=0), 1e-6)
    left = np.cumsum(mean_weights[::-1])[::-1]
    sticks = np.clip(mean_weights[:-1] / left[:-1], 1e-3, 1.0 - 1e-3)
    values = {"coefficients": torch.tensor(start.mean.T.copy()), "sticks": torch.from_numpy(sticks)}
    # neither torch's global generator nor Pyro's global parameters are changed for the caller
    with torch.random.fork_rng(devices=[]), pyro.get_param_store().scope(), _suitable_threads(prepared):
        torch.default_generator.manual_seed(seed)
        if model.engine == "svi":
            return _by_svi(model, program, start, values, tell, seed)
        return _by_nuts(model, program, start, values, tell)


@contextmanager
def _suitable_threads(prepared: Prepared) -> Iterator[None]:
    """Hold torch to one thread where waking others costs more than the work."""
    import torch

    before = torch.get_num_threads()
    if len(prepared.problem.left) < ROWS_WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _by_svi(
    model: BayesianMixture,
    program: MixtureProgram,
    start: BayesianPosterior,
    values: dict[str, Any],
    tell: Tell,
    seed: int,
) -> BayesianPosterior:
    """Mean-field normal guide."""
    from pyro import poutine
    from pyro.infer import SVI, TraceEnum_ELBO
    from pyro.infer.autoguide import AutoNormal, init_to_value
    from pyro.optim import ClippedAdam

    guide = AutoNormal(
        poutine.block(program, hide=["group"]), init_loc_fn=init_to_value(values=values), init_scale=START_SCALE
    )
    decay = 0.1 ** (1.0 / model.steps)
    optimiser = ClippedAdam({"lr": model.learning_rate, "lrd": decay})
    svi = SVI(program, guide, optimiser, TraceEnum_ELBO(max_plate_nesting=1))
    for step in range(int(model.steps)):
        loss = svi.step()
        if step % TOLD_EVERY == 0:
            tell("svi", step, float(loss))
    spread = {name: value.detach().numpy() for name, value in guide.quantiles([0.5, ONE_SD]).items()}
    mean, upper = spread["coefficients"]
    sd = upper - mean
    rng = np.random.default_rng([seed, 9])
    weights = np.ones((POSTERIOR_DRAWS, 1))
    if program.n_groups > 1:
        at, above = (logit(np.clip(value, 1e-12, 1 - 1e-12)) for value in spread["sticks"])
        v = expit(at + (above - at) * rng.normal(size=(POSTERIOR_DRAWS, len(at))))
        weights = _break(v)
    draws = mean + sd * rng.normal(size=(POSTERIOR_DRAWS, *mean.shape))
    responsibility = np.mean([program.responsibility(c, w) for c, w in zip(draws, weights, strict=True)], axis=0)
    return replace(
        start,
        mean=np.ascontiguousarray(mean.T),
        covariance=None,
        basis=np.eye(program.dim),
        variance=np.ascontiguousarray((sd**2).T),
        responsibility=responsibility,
        weight_draws=weights,
        n_iter=int(model.steps),
        manner=_manner(program, mean.T, weights.mean(axis=0)),
    )


def _by_nuts(
    model: BayesianMixture, program: MixtureProgram, start: BayesianPosterior, values: dict[str, Any], tell: Tell
) -> BayesianPosterior:
    """One chain, whose draws are named as in the deterministic fit: by Hungarian matching of the memberships."""
    from pyro.infer import MCMC, NUTS
    from pyro.infer.autoguide import init_to_value

    kernel = NUTS(program, max_plate_nesting=1, init_strategy=init_to_value(values=values))
    chain = MCMC(
        kernel,
        num_samples=int(model.draws),
        warmup_steps=int(model.warmup),
        disable_progbar=True,
        hook_fn=lambda kernel, samples, stage, i: tell(f"nuts/{stage.lower()}", int(i), float("nan")),
    )
    chain.run()
    found = {name: value.detach().numpy() for name, value in chain.get_samples().items()}
    coefficients = found["coefficients"].copy()
    n_draws, n_groups = coefficients.shape[:2]
    weights = _break(found["sticks"]) if n_groups > 1 else np.ones((n_draws, 1))
    responsibility = np.zeros_like(start.responsibility)
    for s in range(n_draws):
        mine = program.responsibility(coefficients[s], weights[s])
        _, order = linear_sum_assignment(-start.responsibility.T @ mine)
        coefficients[s], weights[s] = coefficients[s, order], weights[s, order]
        responsibility += mine[:, order] / n_draws
    mean = coefficients.mean(axis=0)
    centred = coefficients - mean
    covariance = np.einsum("ski,skj->kij", centred, centred) / max(n_draws - 1, 1)
    # as many draws as coefficients leave a covariance singular: what is not seen is left to a sliver of the prior
    sliver = 1e-6 * np.square(program.sd.numpy())
    covariance += np.diag(sliver)
    return replace(
        start,
        mean=np.ascontiguousarray(mean.T),
        covariance=covariance,
        basis=None,
        variance=None,
        responsibility=responsibility,
        weight_draws=weights,
        n_iter=n_draws,
        manner=_manner(program, mean.T, weights.mean(axis=0)),
    )


def _break(sticks: Float[np.ndarray, "draws sticks"]) -> Float[np.ndarray, "draws groups"]:
    one = np.ones((len(sticks), 1))
    return np.hstack([sticks, one]) * np.cumprod(np.hstack([one, 1.0 - sticks]), axis=1)
