"""The methods of conditioning by name, and the single policies that are held against them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.cli.condition_vectors import steering_vectors
from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.conditioning.best_of_n import BestOfN
from pluralism.policy.lm.conditioning.conditioner import Conditioner
from pluralism.policy.lm.conditioning.contrastive_policy import ContrastiveDecoding
from pluralism.policy.lm.conditioning.example_pool import example_pools
from pluralism.policy.lm.conditioning.in_context import InContext
from pluralism.policy.lm.conditioning.reward_guided import RewardGuided
from pluralism.policy.lm.conditioning.single_policy import SinglePolicy
from pluralism.policy.lm.conditioning.steered_policy import Steered
from pluralism.policy.lm.conditioning.system_prompted import SystemPrompted
from pluralism.policy.lm.conditioning.tastes import taste_messages
from pluralism.policy.lm.welfare_policies import RULES, single_policies

if TYPE_CHECKING:
    from pluralism.cli.condition_reading import Study
    from pluralism.cli.progress import Stages
    from pluralism.policy.lm.adapter_bank import AdapterBank
    from pluralism.policy.lm.conditioned_pairs import ConditionedPairs, Pairing
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.policy.lm.recipes.recipe import Recipe
    from pluralism.policy.lm.text_rewards import TextReward

__all__ = ["METHODS", "Made", "Methods", "build_methods", "check_methods", "check_study", "read_messages"]

METHODS = ("system", "examples", "best-of-n", "guided", "steering", "adapters", "contrastive", "soup")
ADAPTED = ("adapters", "contrastive", "soup")
"""Methods that train adapters."""
LEARNT = ("system", "examples", "steering", *ADAPTED)
"""Methods that learn from texts of the run."""

TRAINING = "training"
CALIBRATION_PROMPTS = 32
MOST_EXAMPLE_TOKENS = 1024


@dataclass(frozen=True)
class Methods:
    """Methods and their settings, as on the command line."""

    names: tuple[str, ...]
    single: str
    n: int
    messages: Mapping[str, str] | None
    shots: int
    guidance: float
    lookahead: int
    steering: float
    contrast: float
    loss: str
    beta: float | None
    steps: int
    rank: int
    learning_rate: float | None
    batch_size: int

    @property
    def rules(self) -> tuple[str, ...]:
        """Of the single policies."""
        named = tuple(part.strip() for part in self.single.split(",") if part.strip())
        return () if named == ("none",) else named


@dataclass(frozen=True, eq=False)
class Made:
    """What there is to compare.

    Attributes
    ----------
    conditioners, singles : tuple of Conditioner
    weights : mapping of str to mapping of str to float
        Of the groups, by the rule of a single policy.
    facts : dict
        Settings in words, for the report.
    """

    conditioners: tuple[Conditioner, ...]
    singles: tuple[Conditioner, ...]
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def check_methods(wanted: Methods) -> None:
    """Refuse methods and settings that cannot work, before anything is loaded.

    Raises
    ------
    UsageError
    """
    unknown = next((name for name in wanted.names if name not in METHODS), None)
    if unknown is not None or len(set(wanted.names)) < len(wanted.names):
        what = f"There is no method {unknown!r}." if unknown else "A method comes twice."
        raise UsageError(what, where="--method", fix=f"Methods are {', '.join(METHODS)}.")
    strange = next((rule for rule in wanted.rules if rule not in RULES), None)
    if strange is not None or not wanted.single.strip() or len(set(wanted.rules)) < len(wanted.rules):
        raise UsageError(
            f"There is no rule {strange or wanted.single!r} for single policies.",
            where=f"--single {wanted.single}",
            fix=f"Name some of {', '.join(RULES)}, each once; or say none.",
        )
    if "soup" in wanted.names and not wanted.rules:
        raise UsageError(
            "A soup is weighted by a rule.", where="--single none", fix=f"Name some of {', '.join(RULES)}."
        )
    if wanted.messages is not None and "system" not in wanted.names:
        raise UsageError("System messages are for the method system.", where="--messages", fix="Add --method system.")
    for name, value, least in (
        ("--guidance", wanted.guidance, -np.inf),
        ("--steering", wanted.steering, -np.inf),
        ("--contrast", wanted.contrast, 0.0),
    ):
        if not (np.isfinite(value) and value >= least):
            fix = "Give a finite number" + (f" of at least {least:g}." if np.isfinite(least) else ".")
            raise UsageError(f"{value:g} is not possible.", where=name, fix=fix)
    _trainer(wanted, 0)


def check_study(wanted: Methods, study: Study, prompts: Sequence[str]) -> None:
    """Refuse methods that do not fit the groups, or have nothing to learn from, before a model is loaded.

    Raises
    ------
    UsageError
    """
    if "soup" in wanted.names and set(study.groups) != set(study.followed.names):
        raise UsageError("A soup serves all groups.", where="--groups", fix="Say --groups all, or leave soup out.")
    needed = [name for name in wanted.names if name in LEARNT and not (name == "system" and wanted.messages)]
    if not prompts and (needed or wanted.rules):
        raise UsageError(
            "No prompt of the run is left to learn from.",
            where="--prompts",
            fix="Judge on fewer prompts of the run, or leave out methods that learn, and say --single none.",
        )
    if wanted.messages is not None:
        _own_messages(wanted.messages, study)


def build_methods(
    wanted: Methods,
    model: LanguageModel,
    study: Study,
    prompts: Sequence[str],
    out: Path,
    *,
    max_tokens: int,
    seed: int,
    stage: Stages,
) -> Made:
    """Make conditioners and single policies; adapters are trained in `out`, and go on where they were stopped.

    Parameters
    ----------
    prompts : sequence of str
        Of the run, that are not judged on: what methods learn from.
    max_tokens : int
        Of responses by which rules weigh groups.

    Raises
    ------
    DataError
        If a group tells no texts of the run apart.
    """
    facts: dict[str, Any] = {}
    rewards = {group: study.followed.only(group) for group in study.groups}
    base = SinglePolicy(model, study.groups)
    texts = _texts(study, prompts)
    made: list[Conditioner] = []
    singles: list[Conditioner] = []
    weights: Mapping[str, np.ndarray] = {}
    if wanted.rules:
        stage("weighing groups")
        asked, said = _calibration(wanted, model, prompts, out, max_tokens, seed)
        policies, weights = single_policies(model, study.followed, asked, said, rules=wanted.rules, n=wanted.n)
        singles += policies
        for rule, own in weights.items():
            shown = ", ".join(f"{name} {share:.2f}" for name, share in zip(study.followed.names, own, strict=True))
            facts[f"weights of {rule}"] = shown
    for name in wanted.names:
        stage(f"preparing {name}")
        if name == "system":
            said_to = _messages(wanted, model, study, *texts)
            made.append(SystemPrompted(model, said_to, name="system"))
        elif name == "examples":
            pools = example_pools(*texts, study.followed.only(*study.groups).matrix(*texts), study.groups)
            budget = min(MOST_EXAMPLE_TOKENS, model.limit // 2)
            made.append(InContext(model, pools, n_examples=wanted.shots, budget=budget, name="examples"))
            facts["examples before a prompt"] = wanted.shots
        elif name == "best-of-n":
            made.append(BestOfN(base, rewards, wanted.n, name="best-of-n"))
        elif name == "guided":
            made.append(
                RewardGuided(model, rewards, strength=wanted.guidance, lookahead=wanted.lookahead, name="guided")
            )
            facts["guided"] = f"{wanted.guidance:g} nats for a unit of reward, lookahead {wanted.lookahead}"
        elif name == "steering":
            pairs = _pairs(study.followed.only(*study.groups), *texts)
            vectors = steering_vectors(model, pairs, study.groups, out)
            made.append(Steered(model, vectors, strength=wanted.steering, name="steering"))
            facts["steering"] = f"{wanted.steering:g} times the mean difference"
    if set(ADAPTED) & set(wanted.names):
        bank = _adapters(wanted, model, study.followed.only(*study.groups), texts, out, seed, stage)
        facts["adapters"] = f"{wanted.loss}, {wanted.steps} steps of {wanted.batch_size} rows, rank {wanted.rank}"
        if "adapters" in wanted.names:
            made.append(bank)
        if "contrastive" in wanted.names:
            adapted = {group: bank.model(group) for group in study.groups}
            made.append(ContrastiveDecoding(adapted, model, scale=wanted.contrast, name="contrastive"))
            facts["contrastive"] = f"{wanted.contrast:g} times the way from the model to the adapter"
        if "soup" in wanted.names:
            singles += _soups(bank, study, weights)
    if wanted.rules or "best-of-n" in wanted.names:
        facts["draws of best-of-n"] = wanted.n
    shares = {rule: dict(zip(study.followed.names, own.tolist(), strict=True)) for rule, own in weights.items()}
    return Made(tuple(made), tuple(singles), shares, facts)


def _texts(study: Study, prompts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Prompts and responses of the run that may be learnt from, row by row."""
    items, kept = study.items, set(prompts)
    if items.prompts is None or items.texts is None:
        return [], []
    pairs = zip(items.prompts.to_pylist(), items.texts.to_pylist(), strict=True)
    rows = [(prompt, text) for prompt, text in pairs if prompt in kept]
    return [prompt for prompt, _ in rows], [text for _, text in rows]


def _calibration(
    wanted: Methods, model: LanguageModel, prompts: Sequence[str], out: Path, max_tokens: int, seed: int
) -> tuple[list[str], tuple[str, ...]]:
    """Responses of the model, by which the rules weigh groups; kept in the folder."""
    from pluralism.policy.lm.experiment_cells import CellStore, Responses
    from pluralism.policy.lm.experiment_facts import facts_of
    from pluralism.policy.lm.experiment_run import prompt_facts
    from pluralism.random import as_generator

    asked = list(prompts[:CALIBRATION_PROMPTS])
    facts = {"prompts": prompt_facts(asked), "responses": wanted.n, "max_tokens": max_tokens, **facts_of(model)}
    store = CellStore(out, {"weighing": facts})

    def make() -> Responses:
        stream = as_generator(seed, "weighing")
        drawn = model.generate(asked, n=wanted.n, max_tokens=max_tokens, rng=stream)
        return Responses.from_generations(drawn, wanted.n, own=False)

    found = store.cell("weighing", make)
    return [asked[k] for k in found.prompt], found.texts


def read_messages(path: Path) -> dict[str, str]:
    """System messages of a JSON or TOML file, by group.

    Raises
    ------
    DataError
        If it cannot be read, or is no table of texts.
    """
    fix = 'Give a JSON or TOML file such as {"A": "Be brief.", "B": "Be warm."}.'
    try:
        raw = path.read_bytes()
        document = json.loads(raw) if path.suffix.lower() == ".json" else tomllib.loads(raw.decode())
    except OSError as cause:
        raise DataError(f"The system messages cannot be read: {cause.strerror}.", where=str(path), fix=fix) from cause
    except (ValueError, RecursionError) as cause:
        raise DataError(f"The system messages cannot be read: {cause}.", where=str(path), fix=fix) from cause
    if not isinstance(document, dict):
        raise DataError("The system messages are no table from group to text.", where=str(path), fix=fix)
    empty = next((name for name, text in document.items() if not isinstance(text, str) or not text.strip()), None)
    if empty is not None:
        raise DataError(f"The message for {empty!r} is no text.", where=str(path), fix=fix)
    return document


def _own_messages(messages: Mapping[str, str], study: Study) -> dict[str, str]:
    """By the group's name; files may leave out the word before its letter."""
    named = {name.removeprefix("Group "): name for name in study.followed.names}
    named |= {name: name for name in named.values()}
    known = f"Groups are {', '.join(name.removeprefix('Group ') for name in study.followed.names)}."
    strange = next((name for name in messages if name not in named), None)
    if strange is not None:
        raise UsageError(f"There is a message for {strange!r}, which is no group.", where="--messages", fix=known)
    found = {named[name]: text for name, text in messages.items()}
    if len(found) < len(messages):
        raise UsageError("A group has two messages.", where="--messages", fix="Give one text for each group.")
    missing = next((name for name in study.groups if name not in found), None)
    if missing is not None:
        raise UsageError(f"There is no message for {missing}.", where="--messages", fix="Give a text for each group.")
    return {name: found[name] for name in study.groups}


def _messages(
    wanted: Methods, model: LanguageModel, study: Study, prompts: list[str], texts: list[str]
) -> Mapping[str, Any]:
    if wanted.messages is not None:
        return _own_messages(wanted.messages, study)
    # What sets a group apart from all others, whoever is answered here. Models that read little are told little.
    rewards, most = study.followed.matrix(prompts, texts), int(np.clip(model.limit // 16, 40, 200))
    found = taste_messages(rewards, texts, study.followed.names, most_characters=most)
    return {name: found[name] for name in study.groups}


def _pairs(reward: TextReward, prompts: list[str], texts: list[str], *, pairing: Pairing = "all") -> ConditionedPairs:
    from pluralism.policy.lm.conditioned_pairs import ConditionedPairs

    pairs = ConditionedPairs.from_rewards(reward, prompts, texts, pairing=pairing)
    empty = next((name for name, n in zip(pairs.groups, pairs.kept, strict=True) if n == 0), None)
    if empty is not None:
        raise DataError(
            f"{empty} prefers no text of the run to another of the same prompt.",
            fix="Leave the group out with --groups, or use a method that does not learn from texts.",
        )
    return pairs


def _trainer(wanted: Methods, seed: int) -> Recipe:
    """The recipe of the adapters.

    Raises
    ------
    UsageError
        If there is no such loss, or it makes nothing of pairs or of their sides, which are what there is here.
    """
    from pluralism.policy.lm.adapter_settings import Lora
    from pluralism.policy.lm.recipes import recipe_by_name, recipe_names
    from pluralism.policy.lm.recipes.training_rows import FROM_PAIRS

    losses = [name for name in recipe_names() if FROM_PAIRS.issuperset(recipe_by_name(name).columns)]
    if wanted.loss not in losses:
        raise UsageError(
            f"There is no loss {wanted.loss!r} of pairs or answers.",
            where="--loss",
            fix=f"Losses are {', '.join(losses)}.",
        )
    settings: dict[str, Any] = {} if wanted.beta is None else {"beta": wanted.beta}
    return recipe_by_name(
        wanted.loss,
        adapter=Lora(rank=wanted.rank, alpha=2.0 * wanted.rank),
        max_steps=wanted.steps,
        batch_size=wanted.batch_size,
        learning_rate=wanted.learning_rate,
        rng=seed,
        **settings,
    )


def _adapters(
    wanted: Methods,
    model: LanguageModel,
    reward: TextReward,
    texts: tuple[list[str], list[str]],
    out: Path,
    seed: int,
    stage: Stages,
) -> AdapterBank:
    from dataclasses import replace

    from pluralism.policy.lm.adapter_bank import AdapterBank

    stage(f"training {len(reward.names)} adapters")
    recipe = _trainer(wanted, seed)
    # Who learns from single answers learns from the best and the worst: those between would be liked and disliked.
    bank = AdapterBank.train(
        recipe,
        model,
        _pairs(reward, *texts, pairing="all" if "chosen" in recipe.columns else "extremes"),
        out / TRAINING,
        groups=reward.names,
        progress=stage.share,
    )
    return replace(bank, name="adapters")


def _soups(bank: AdapterBank, study: Study, weights: Mapping[str, np.ndarray]) -> list[Conditioner]:
    from pluralism.policy.lm.soups import adapter_soup

    return [
        SinglePolicy(
            adapter_soup(bank, dict(zip(study.followed.names, own.tolist(), strict=True))),
            study.groups,
            name=f"soup {rule}",
        )
        for rule, own in weights.items()
    ]
