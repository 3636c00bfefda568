"""What an agent did well: similarity in and out of time, direction, lag, retention, calibration, influence."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from pluralism.errors import UsageError
from pluralism.progress.agent_run import AgentRun
from pluralism.progress.published_score import cosine

__all__ = ["crps", "measures", "recovery", "similarity", "skill"]

# Standard deviations that hold 90 % of a normal distribution.
NINETY = 1.6448536269514722


def similarity(run: AgentRun) -> Float[np.ndarray, "seeds steps periods"]:
    """R[i, j]: cosine between the behaviour committed in step i (period i + 1) and that of people in period j.

    In "coevolve" people of period j are those whom the policy has influenced; of period 0, history.
    """
    bank = run.task.bank
    shown = bank.behaviour(bank.policy(run.values))
    people = run.mean
    if run.task.kind == "coevolve":
        people = np.concatenate([run.mean[:, :1], run.people], axis=1)
    return cosine(shown[:, :, None], bank.behaviour(bank.policy(people))[:, None])


def measures(run: AgentRun, persistence: AgentRun | None = None) -> dict[str, Float[np.ndarray, " seeds"]]:
    r"""Every measure of a run, one number for each history; NaN where it is not defined.

    Parameters
    ----------
    run : AgentRun
    persistence : AgentRun, optional
        Of the baseline on the same seeds, for `skill`.

    Returns
    -------
    dict of str to array of shape (seeds,)
        With R as in `similarity`, i counted in periods, n steps and K the horizon:

        `cost`: mean loss. `now`: mean of R[i, i]. `ahead`: mean of R[i, i + K]. `lag`: the l >= 0 with the largest mean
        of R[i, i - l] over i >= l, periods from 0. `backward_transfer`: mean over j < n of R[n, j] - R[j, j].
        `forward_transfer`: mean over j >= 2 of R[j - 1, j], less the 0 of a uniform policy. `forgetting`: mean over
        j < n of max over j <= i < n of R[i, j], less R[n, j]: not an error where the values are obsolete.
        `change_cosine`: cosine of the change committed and the true one, both from people of period 0.
        `direction`: share of dimensions that move as said, from the period before the one that is compared with, or
        for K > 0 from the present. `skill` as in `skill`. `crps`, `coverage`: of agents that say how sure they are;
        coverage is that of 90 % intervals. `influence`, `serve`, `stay`: of "coevolve". `terminal_error`: root mean
        square distance of people from their twin at the end.
    """
    task, n = run.task, run.task.n_steps
    table = similarity(run)
    at = np.arange(n)
    found: dict[str, np.ndarray] = {"cost": run.cost, "now": table[:, at, at + 1].mean(axis=1)}
    found["ahead"] = table[:, at, at + 1 + task.ahead].mean(axis=1)
    lags = np.stack([table[:, at[at + 1 >= lag], at[at + 1 >= lag] + 1 - lag].mean(axis=1) for lag in range(n)])
    found["lag"] = lags.argmax(axis=0).astype(float)
    own, last = table[:, at, at + 1], table[:, -1, 1 : n + 1]
    found["backward_transfer"] = (last - own)[:, :-1].mean(axis=1)
    found["forward_transfer"] = table[:, at[:-1], at[:-1] + 2].mean(axis=1)
    known = np.where(np.tri(n, dtype=bool)[None], table[:, :, 1 : n + 1], -np.inf)[:, :-1, :-1]
    found["forgetting"] = (known.max(axis=1) - last[:, :-1]).mean(axis=1)
    start = run.mean[:, :1]
    found["change_cosine"] = cosine(run.values - start, run.target - start).mean(axis=1)
    before = _people_before(run)
    said, true = np.sign(run.values - before), np.sign(run.target - before)
    found["direction"] = (said == true).mean(axis=(1, 2))
    if persistence is not None:
        found["skill"] = skill(run, persistence)
    if run.deviation is not None:
        spread = np.broadcast_to(run.deviation[:, None], run.values.shape)
        found["crps"] = crps(run.values, spread, run.target).mean(axis=(1, 2))
        found["coverage"] = (np.abs(run.values - run.target) <= NINETY * spread).mean(axis=(1, 2))
    found |= {name: part.mean(axis=1) for name, part in run.parts.items()}
    if task.kind == "coevolve":
        found["terminal_error"] = np.sqrt(np.square(run.people[:, -1] - run.twin[:, -1]).mean(axis=1))
    return found


def skill(run: AgentRun, persistence: AgentRun) -> Float[np.ndarray, " seeds"]:
    """1 less the loss relative to that of persistence in the same history; NaN where that has none.

    Raises
    ------
    UsageError
        If the runs are not of the same task and seeds.
    """
    if run.seeds != persistence.seeds or run.task != persistence.task:
        raise UsageError("The runs are not of the same histories.", fix="Run both on the same task and seeds.")
    loss, other = run.loss.sum(axis=1), persistence.loss.sum(axis=1)
    return 1.0 - np.divide(loss, other, out=np.full_like(loss, np.nan), where=other > 0)


def crps(
    mean: Float[np.ndarray, "*shape"], deviation: Float[np.ndarray, "*shape"], value: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Continuous ranked probability score of normal forecasts (Gneiting and Raftery 2007, equation 21)."""
    scale = np.where(deviation > 0, deviation, 1.0)
    z = (value - mean) / scale
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    sure = scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.where(deviation > 0, sure, np.abs(value - mean))


def recovery(run: AgentRun, shock_period: int, *, share: float = 0.95) -> Float[np.ndarray, " seeds"]:
    """Periods after a shock until the agent is as close to people as before it, or nearly.

    Parameters
    ----------
    run : AgentRun
        Of "follow": it must be able to see the shock.
    shock_period : int
        In which the jump shows; at least 2, so that there is a level before it.
    share : float
        Of the mean similarity before the shock that must be reached again.

    Returns
    -------
    array of shape (seeds,)
        0 where the similarity did not suffer; NaN where it does not come back, or was not positive before.
    """
    if run.task.kind != "follow" or not 2 <= shock_period <= run.task.n_steps:
        raise UsageError("There is no recovery to see.", fix="Use a run of follow, and a shock from period 2 on.")
    at = np.arange(run.task.n_steps)
    own = similarity(run)[:, at, at + 1]
    before = own[:, : shock_period - 1].mean(axis=1)
    reached = own[:, shock_period - 1 :] >= share * before[:, None]
    return np.where(reached.any(axis=1) & (before > 0), reached.argmax(axis=1).astype(float), np.nan)


def _people_before(run: AgentRun) -> Float[np.ndarray, "seeds steps dim"]:
    """People of the period before the one compared with; where that lies ahead, people of the present."""
    if run.task.kind == "coevolve":
        return np.concatenate([run.mean[:, :1], run.people[:, :-2]], axis=1)
    first = 0 if run.task.ahead == 0 else 1
    return run.mean[:, first : first + run.task.n_steps]
