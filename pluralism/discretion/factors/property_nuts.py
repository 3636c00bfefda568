"""The whole posterior of property weights by NUTS in Pyro."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from pluralism.extras import require
from pluralism.solvers.davidson import TIE_PRECISION

if TYPE_CHECKING:
    from pluralism.discretion.factors.property_weights import PropertyDesign

__all__ = ["sample_properties"]


def sample_properties(
    design: PropertyDesign, prior_sd: float, draws: int, seed: int
) -> tuple[Float[np.ndarray, "draws parameters"], dict[str, float]]:
    """Draws of the coefficients (and, last, of the tie parameter, where there is one).

    Returns
    -------
    draws : array of shape (draws, parameters)
    level_sd : dict of str to float
        Posterior means of the standard deviations of the levels, which have half-normal priors with scale 1.
    """
    pyro = require("pyro", extra="bayes", purpose="Sampling property weights")
    from pyro.infer import MCMC, NUTS

    problem = design.problem
    index, value = torch.as_tensor(problem.index), torch.as_tensor(problem.value)
    yes, no, tie = torch.as_tensor(design.counts).T
    size = len(problem.precision)
    plain = torch.full((size,), prior_sd, dtype=torch.float64)

    def program() -> Any:
        scale = plain.clone()
        for level in design.labels:
            scale[design.block(level)] = pyro.sample(
                f"sd {level}", pyro.distributions.HalfNormal(torch.ones((), dtype=torch.float64))
            )
        unit = pyro.sample("unit", pyro.distributions.Normal(torch.zeros(size, dtype=torch.float64), 1.0).to_event(1))
        coefficients = pyro.deterministic("coefficients", unit * scale)
        z = (coefficients[index] * value).sum(dim=1)
        logits = [0.5 * z, -0.5 * z]
        if problem.ties:
            t = pyro.sample("tie", pyro.distributions.Normal(torch.zeros((), dtype=torch.float64), TIE_PRECISION**-0.5))
            logits.append(t.expand(z.shape))
        total = torch.logsumexp(torch.stack(logits), dim=0)
        found = yes * (logits[0] - total) + no * (logits[1] - total)
        if problem.ties:
            found = found + tie * (logits[2] - total)
        pyro.factor("answers", found.sum())

    with torch.random.fork_rng(devices=[]), pyro.get_param_store().scope():
        torch.default_generator.manual_seed(seed)
        chain = MCMC(NUTS(program), num_samples=draws, warmup_steps=draws, disable_progbar=True)
        chain.run()
        samples = {name: drawn.detach().numpy() for name, drawn in chain.get_samples().items()}
    scale = np.tile(plain.numpy(), (draws, 1))
    for level in design.labels:
        scale[:, design.block(level)] = samples[f"sd {level}"].reshape(draws, 1)
    parameters = samples["unit"].reshape(draws, size) * scale
    if problem.ties:
        parameters = np.concatenate([parameters, samples["tie"].reshape(draws, 1)], axis=1)
    return parameters, {level: float(samples[f"sd {level}"].mean()) for level in design.labels}
