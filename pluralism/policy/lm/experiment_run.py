"""Condition a language model for groups, and let judges who were not optimised for say whom that served."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float

from pluralism.errors import DataError, UsageError
from pluralism.models.settings import is_whole
from pluralism.policy.lm.batched_generation import Sampling
from pluralism.policy.lm.conditioning.best_of_n import BestOfN, WelfareBestOfN
from pluralism.policy.lm.conditioning.conditioner import Conditioner
from pluralism.policy.lm.conditioning.single_policy import SinglePolicy
from pluralism.policy.lm.cross_scoring import cross_scores
from pluralism.policy.lm.experiment import REFERENCE, ConditioningExperiment, response_facts
from pluralism.policy.lm.experiment_cells import CellStore, Responses
from pluralism.policy.lm.experiment_facts import facts_for, facts_of
from pluralism.policy.lm.held_out_judges import refuse_optimised
from pluralism.random import RNG, as_generator, as_seed
from pluralism.solvers.best_of_n import best_of_n_kl_bound

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["Judge", "condition", "prompt_facts", "setting_facts"]

Progress = Callable[[str, int, int], None]

BLOCK = 16
"""Prompts of a cell."""


class Judge(Protocol):
    """Who scores responses: a `TextReward` of a model that nothing was optimised for, or any that looks like one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the groups that it judges for."""

    def matrix(self, prompts: Sequence[str], responses: Sequence[str]) -> Float[np.ndarray, "rows groups"]:
        """Reward of each response for each group."""


def condition(
    model: LanguageModel,
    conditioners: Sequence[Conditioner],
    judge: Judge,
    prompts: Sequence[str],
    *,
    folder: str | Path,
    optimised: Sequence[Any],
    singles: Sequence[Conditioner] = (),
    shares: Sequence[float] | None = None,
    samples: int = 8,
    max_tokens: int = 128,
    temperature: float = 1.0,
    top_p: float = 1.0,
    block: int = BLOCK,
    bootstrap: int = 2000,
    level: float = 0.95,
    facts: Mapping[str, Any] | None = None,
    said: str | None = None,
    rng: RNG = 0,
    progress: Progress | None = None,
) -> ConditioningExperiment:
    """Generate under every condition, score with held-out judges, and say who prefers what.

    Responses come in cells of `block` prompts of a condition. A cell is written as a whole when it is done, and found
    again by a later call with the same folder: one that was killed goes on where it was, and more conditioners, and
    groups of one, can join. What a cell holds depends on the settings and the seed alone, not on what was generated
    before it.

    Parameters
    ----------
    model : LanguageModel
        The reference: the same model without conditioning.
    conditioners : sequence of Conditioner
        Each answers for each of its groups.
    judge : Judge
        Such as a `TextReward`. Its model must not have been fitted to the people whose answers were optimised for.
        A judge without a fitted model is believed.
    prompts : sequence of str
        That were not trained on.
    folder : path
        Where responses are kept.
    optimised : sequence
        All fitted models, or rewards made of them, that the conditioners follow; empty for conditioning by words alone.
    singles : sequence of Conditioner
        Policies that answer everybody alike, to be held against conditioning: one condition each.
    shares : sequence of float, optional
        How large each group of the judge is; left out, as the judge's model says, or all equally.
    samples : int
        Responses of each condition to each prompt.
    max_tokens, temperature, top_p
        As in `LanguageModel.generate`. KL is estimated at temperature 1 and top_p 1 alone.
    block : int
        Prompts of a cell.
    bootstrap, level
        As in `cross_scores`.
    facts : mapping of str to JSON values, optional
        What the responses depend on beyond model, conditioners and settings. Conditioners are known by their fields.
    said : str, optional
        The judge in words, for reports; left out, its `repr`.
    rng : int, Generator or None
        With an int, the same call goes on with the same folder.
    progress : callable, optional
        Called with what is being done, cells done, and cells in all.

    Raises
    ------
    UsageError
        If a setting cannot work, names come twice, or the folder holds something else.
    DataError
        If the judge was optimised for: it is of the same fit, or of the same people.
    """
    _check(prompts, samples, block, conditioners, singles)
    Sampling(max_tokens, temperature, top_p)
    refuse_optimised(judge, optimised)
    groups = judge.names
    asked = tuple(prompts)
    seed = as_seed(rng)
    sampling: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p}
    plan = _plan(conditioners, singles, groups)
    digests: dict[int, str] = {}
    common = {
        "model": facts_of(model, digests),
        **setting_facts(asked, samples=samples, **sampling, block=block),
        "seed": seed,
        **dict(facts or {}),
    }
    # All are held against the folder before the first is asked, and added to it one by one: what fails leaves no facts.
    stores = {REFERENCE: CellStore(folder, common)}
    for name, (asked_of, group) in plan.items():
        own = facts_of(asked_of, digests) if name == asked_of.name else facts_for(asked_of, group, digests)
        stores[name] = CellStore(folder, common | {f"conditioner {name}": own})
    blocks = [asked[start : start + block] for start in range(0, len(asked), block)]
    plain = temperature == 1.0 and top_p == 1.0
    total, done = len(blocks) * (1 + len(plan)), 0
    found: dict[str, Responses] = {}
    for name, (conditioner, group) in {REFERENCE: (None, ""), **plan}.items():
        parts = []
        for number, part in enumerate(blocks):
            if progress is not None:
                progress(name, done, total)
            key = f"{name}/{number}"
            # Each cell has a stream of its own, so that none depends on those before it.
            stream = as_generator(seed, key)

            def make(
                part: tuple[str, ...] = part,
                conditioner: Conditioner | None = conditioner,
                group: str = group,
                stream: np.random.Generator = stream,
            ) -> Responses:
                if conditioner is None:
                    made = model.generate(part, n=samples, **sampling, rng=stream)
                    return Responses.from_generations(made, samples, made.log_probs if plain else None, own=plain)
                made = conditioner.generate(part, group, n=samples, **sampling, rng=stream)
                if not plain or isinstance(conditioner, BestOfN | WelfareBestOfN):
                    return Responses.from_generations(made, samples, own=False)
                return Responses.from_generations(made, samples, _reference_log_probs(model, made))

            parts.append(stores[name].cell(key, make))
            done += 1
        found[name] = Responses.joined(parts)
    if progress is not None:
        progress("judging", done, total)
    rewards = {name: _judged(judge, asked, responses) for name, responses in found.items()}
    weights = getattr(judge, "shares", None) if shares is None else shares
    scores = cross_scores(
        np.stack([rewards[name] for name in plan], axis=1),
        rewards[REFERENCE],
        groups=groups,
        conditions=list(plan),
        methods=[conditioner.name for conditioner, _ in plan.values()],
        made_for={name: group for name, (conditioner, group) in plan.items() if name != conditioner.name},
        shares=weights,
        bootstrap=bootstrap,
        level=level,
        rng=seed,
    )
    bounds: dict[str, float | None] = {REFERENCE: None}
    bounds |= {name: _kl_bound(conditioner) for name, (conditioner, _) in plan.items()}
    return ConditioningExperiment(
        asked,
        scores,
        tuple(response_facts(name, responses, kl_bound=bounds[name]) for name, responses in found.items()),
        found,
        repr(judge) if said is None else said,
        _notes(plain, scores.n_prompts),
    )


def prompt_facts(prompts: Sequence[str]) -> dict[str, Any]:
    """What a folder knows prompts by."""
    return {"number": len(prompts), "digest": hashlib.sha256("\0".join(prompts).encode()).hexdigest()}


def setting_facts(
    prompts: Sequence[str], *, samples: int, max_tokens: int, temperature: float, top_p: float, block: int = BLOCK
) -> dict[str, Any]:
    """What a folder knows the settings of `condition` by: `CellStore` refuses one of others."""
    sampling = {"samples": samples, "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p}
    return {"prompts": prompt_facts(prompts), "sampling": {**sampling, "block": block}}


def _check(
    prompts: Sequence[str],
    samples: int,
    block: int,
    conditioners: Sequence[Conditioner],
    singles: Sequence[Conditioner],
) -> None:
    if isinstance(prompts, str) or len(prompts) < 2 or len(set(prompts)) != len(prompts):
        raise UsageError(
            "An experiment needs two prompts or more, none of them twice.", fix="Pass a list of different texts."
        )
    if not (is_whole(samples) and is_whole(block)):
        raise UsageError(
            f"samples={samples!r}, block={block!r} are not possible.", fix="They are whole numbers, 1 or more."
        )
    names = [one.name for one in (*conditioners, *singles)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not names or twice is not None or REFERENCE in names:
        what = "There is nothing to compare" if not names else f"Two policies are called {twice or REFERENCE!r}"
        raise UsageError(f"{what}.", fix="Pass conditioners with names of their own.")


def _plan(
    conditioners: Sequence[Conditioner], singles: Sequence[Conditioner], groups: tuple[str, ...]
) -> dict[str, tuple[Conditioner, str]]:
    """By the name of a condition: whom to ask, and for which group."""
    made: dict[str, tuple[Conditioner, str]] = {}
    for one in conditioners:
        strange = [group for group in one.groups if group not in groups]
        if strange:
            raise UsageError(
                f"{one.name!r} answers for {strange[0]!r}, for whom nobody judges.",
                fix=f"Groups are {', '.join(groups)}.",
            )
        made |= {f"{one.name}/{group}": (one, group) for group in groups if group in one.groups}
    return made | {one.name: (one, one.groups[0]) for one in singles}


def _kl_bound(conditioner: Conditioner) -> float | None:
    """What the KL from the reference is at most, where log-probabilities do not tell it: of the best of n draws."""
    if not isinstance(conditioner, BestOfN | WelfareBestOfN):
        return None
    # A base that is conditioned itself is at a distance of its own.
    plain = isinstance(conditioner.base, SinglePolicy) and conditioner.base.system is None
    return best_of_n_kl_bound(conditioner.n) if plain else None


def _reference_log_probs(model: LanguageModel, made: Generations) -> Float[np.ndarray, " rows"]:
    asked = [model.prompt_tokens(prompt) for prompt in made.prompts]
    return model.token_log_probs([asked[k] for k in made.prompt], made.tokens).total


def _judged(
    judge: Judge, prompts: tuple[str, ...], responses: Responses
) -> Float[np.ndarray, "groups prompts samples"]:
    rows = judge.matrix([prompts[k] for k in responses.prompt], responses.texts)
    if rows.shape != (len(responses.texts), len(judge.names)):
        raise DataError(
            f"The judge gave rewards of shape {rows.shape} for {len(responses.texts):,} responses.",
            fix="It gives one for each response and group.",
        )
    return np.moveaxis(rows.reshape(*responses.n_tokens.shape, -1), -1, 0)


def _notes(plain: bool, n_prompts: int) -> tuple[str, ...]:
    notes = []
    if not plain:
        notes.append("KL is not estimated: responses were not drawn at temperature 1 and top_p 1.")
    if n_prompts < 20:
        notes.append(f"{n_prompts} prompts are few: intervals over prompts are too narrow.")
    return tuple(notes)
