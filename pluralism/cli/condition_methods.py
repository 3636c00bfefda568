"""The methods of conditioning by name, and the single policies that are held against them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.conditioning.best_of_n import BestOfN
from pluralism.policy.lm.conditioning.conditioner import Conditioner
from pluralism.policy.lm.conditioning.example_pool import example_pools
from pluralism.policy.lm.conditioning.in_context import InContext
from pluralism.policy.lm.conditioning.reward_guided import RewardGuided
from pluralism.policy.lm.conditioning.single_policy import SinglePolicy
from pluralism.policy.lm.conditioning.steered_policy import Steered
from pluralism.policy.lm.conditioning.steering_vector import SteeringVector
from pluralism.policy.lm.conditioning.system_prompted import SystemPrompted
from pluralism.policy.lm.conditioning.tastes import taste_messages
from pluralism.policy.lm.welfare_policies import RULES, single_policies

if TYPE_CHECKING:
    from pluralism.cli.condition_reading import Study
    from pluralism.cli.progress import Stages
    from pluralism.policy.lm.adapter_bank import AdapterBank
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.policy.lm.text_rewards import TextReward

__all__ = ["METHODS", "Made", "Methods", "build_methods", "check_methods"]

METHODS = ("system", "examples", "best-of-n", "guided", "steering", "adapters", "soup")
LEARNT = ("system", "examples", "steering", "adapters", "soup")
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
    messages: Path | None
    shots: int
    strength: float
    lookahead: int
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
    facts : dict
        Settings in words, for the report.
    """

    conditioners: tuple[Conditioner, ...]
    singles: tuple[Conditioner, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def check_methods(wanted: Methods) -> None:
    """Refuse methods and settings that cannot work, before anything is loaded.

    Raises
    ------
    UsageError
    """
    from pluralism.policy.lm.recipes import recipe_by_name, recipe_names
    from pluralism.policy.lm.recipes.paired import PairedRecipe

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
    # The command makes pairs; other recipes want thumbs or lists.
    losses = [name for name in recipe_names() if isinstance(recipe_by_name(name), PairedRecipe)]
    if wanted.loss not in losses:
        raise UsageError(
            f"There is no loss {wanted.loss!r} of pairs.", where="--loss", fix=f"Losses are {', '.join(losses)}."
        )


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
    UsageError
        If there is nothing to learn from, or messages do not fit the groups.
    """
    facts: dict[str, Any] = {}
    needed = [name for name in wanted.names if name in LEARNT and not (name == "system" and wanted.messages)]
    if not prompts and (needed or wanted.rules):
        raise UsageError(
            "No prompt of the run is left to learn from.",
            where="--prompts",
            fix="Judge on fewer prompts of the run, or leave out methods that learn, and say --single none.",
        )
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
                RewardGuided(model, rewards, strength=wanted.strength, lookahead=wanted.lookahead, name="guided")
            )
            facts["guided"] = f"strength {wanted.strength:g}, lookahead {wanted.lookahead}"
        elif name == "steering":
            pairs = _pairs(study.followed.only(*study.groups), *texts)
            vectors = {
                group: SteeringVector.from_pairs(model, own.prompts, own.chosen, own.rejected)
                for group in study.groups
                for own in (pairs.of_group(group),)
            }
            made.append(Steered(model, vectors, strength=wanted.strength, name="steering"))
            facts["steering"] = f"strength {wanted.strength:g}"
    if {"adapters", "soup"} & set(wanted.names):
        bank = _adapters(wanted, model, study.followed.only(*study.groups), texts, out, seed, stage)
        facts["adapters"] = f"{wanted.loss}, {wanted.steps} steps of {wanted.batch_size} pairs, rank {wanted.rank}"
        if "adapters" in wanted.names:
            made.append(bank)
        if "soup" in wanted.names:
            singles += _soups(bank, study, weights)
    if wanted.rules or "best-of-n" in wanted.names:
        facts["draws of best-of-n"] = wanted.n
    return Made(tuple(made), tuple(singles), facts)


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
    from pluralism.random import as_generator

    asked = list(prompts[:CALIBRATION_PROMPTS])
    store = CellStore(out, {"weighing": {"prompts": asked, "responses": wanted.n, "max_tokens": max_tokens}})

    def make() -> Responses:
        stream = as_generator(seed, "weighing")
        drawn = model.generate(asked, n=wanted.n, max_tokens=max_tokens, rng=stream)
        return Responses.from_generations(drawn, wanted.n, own=False)

    found = store.cell("weighing", make)
    return [asked[k] for k in found.prompt], found.texts


def _messages(
    wanted: Methods, model: LanguageModel, study: Study, prompts: list[str], texts: list[str]
) -> dict[str, Any]:
    if wanted.messages is None:
        rewards = study.followed.only(*study.groups).matrix(prompts, texts)
        # Models that read little are told little.
        most = int(np.clip(model.limit // 16, 40, 200))
        return dict(taste_messages(rewards, texts, study.groups, most_characters=most))
    try:
        raw = wanted.messages.read_bytes()
        document = json.loads(raw) if wanted.messages.suffix.lower() == ".json" else tomllib.loads(raw.decode())
    except (OSError, ValueError) as cause:
        raise DataError(
            f"The system messages cannot be read: {cause}.", where=str(wanted.messages), fix="Give JSON or TOML."
        ) from cause
    found = {str(key): value for key, value in document.items()} if isinstance(document, dict) else {}
    named = {name: found.get(name, found.get(name.removeprefix("Group "))) for name in study.groups}
    missing = next((name for name, text in named.items() if not isinstance(text, str) or not text.strip()), None)
    if missing is not None:
        raise UsageError(
            f"There is no message for {missing}.",
            where=f"--messages {wanted.messages}",
            fix="Give a text for each group.",
        )
    return named


def _pairs(reward: TextReward, prompts: list[str], texts: list[str]) -> Any:
    from pluralism.policy.lm.conditioned_pairs import ConditionedPairs

    pairs = ConditionedPairs.from_rewards(reward, prompts, texts, pairing="all")
    empty = next((name for name, n in zip(pairs.groups, pairs.kept, strict=True) if n == 0), None)
    if empty is not None:
        raise DataError(
            f"{empty} prefers no text of the run to another of the same prompt.",
            fix="Leave the group out with --groups, or use a method that does not learn from texts.",
        )
    return pairs


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
    from pluralism.policy.lm.adapter_settings import Lora
    from pluralism.policy.lm.recipes import recipe_by_name

    settings: dict[str, Any] = {
        "adapter": Lora(rank=wanted.rank, alpha=2.0 * wanted.rank),
        "max_steps": wanted.steps,
        "batch_size": wanted.batch_size,
        "learning_rate": wanted.learning_rate,
        "rng": seed,
    }
    if wanted.beta is not None:
        settings["beta"] = wanted.beta
    trainer = recipe_by_name(wanted.loss, **settings)
    stage(f"training {len(reward.names)} adapters")
    bank = AdapterBank.train(
        trainer,
        model,
        _pairs(reward, *texts).to_frame(),
        out / TRAINING,
        groups=reward.names,
        progress=stage.share,
    )
    return replace(bank, name="adapters")


def _soups(bank: AdapterBank, study: Study, weights: Mapping[str, np.ndarray]) -> list[Conditioner]:
    from pluralism.policy.lm.soups import adapter_soup

    if set(study.groups) != set(study.followed.names):
        raise UsageError("A soup serves all groups.", where="--groups", fix="Say --groups all, or leave soup out.")
    return [
        SinglePolicy(
            adapter_soup(bank, dict(zip(study.followed.names, own.tolist(), strict=True))),
            study.groups,
            name=f"soup {rule}",
        )
        for rule, own in weights.items()
    ]
