"""Online reinforcement learning for several groups at once, whose rewards have weights that answer to how they fare."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

import numpy as np

from pluralism.errors import DataError, UsageError
from pluralism.extras import require
from pluralism.policy.lm.adapter_settings import PromptTuning
from pluralism.policy.lm.dual_weights import DualWeights
from pluralism.policy.lm.recipes.dual_weight_callback import dual_weight_callback
from pluralism.policy.lm.recipes.group_rewards import Anchor, GroupRewards, Score, group_values
from pluralism.policy.lm.recipes.padded_positions import count_positions
from pluralism.policy.lm.recipes.quiet_trainer import quiet_trainer, silence
from pluralism.policy.lm.recipes.recipe import Recipe
from pluralism.policy.lm.recipes.training_rows import answered
from pluralism.policy.lm.trl_names import trl_name

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["GroupGRPO"]

_ANCHOR = 0x67727570
"""Stream of random numbers of the start's responses."""


@dataclass(frozen=True, kw_only=True)
class GroupGRPO(Recipe):
    r"""Group-relative policy optimisation of :math:`\sum_k w_k r_k` less a price of KL, with one reward a group.

    After each step the weights move by what each group gained in it: down the dual of MaxMin, to the slope of Nash
    welfare, or not at all (`DualWeights`). The trainer draws several responses to each prompt and pushes up those that
    are above their mean.

    Rewards of different groups are compared by MaxMin and Nash, so they are put in one unit first: the gain over the
    start's mean, by default in standard deviations among the start's responses.

    Attributes
    ----------
    reward : callable
        Takes prompts and responses, gives an array (rows, groups), such as `TextReward.matrix`.
    groups : tuple of str
        Names of its columns.
    dual : DualWeights
    samples : int
        Responses to each prompt, 2 at least; `batch_size` times `accumulation` is a multiple of it.
    response_tokens : int
        The most tokens of a response.
    temperature, top_p
        How responses are drawn.
    beta : float
        Price of a nat of KL from the start by token, at least 0.
    unit : {"start", "raw"}
        Whether gains are divided by their standard deviation among the start's responses, or left as the reward gives
        them, for one that is comparable by itself.
    disagreement : tuple of float, optional
        What each group has if nothing is agreed on, in units of the reward; its mean over the start's responses by
        default.
    anchor_samples : int
        Responses of the start to each prompt from which its mean and standard deviation are taken.
    scale_rewards : {"batch", "group", "none"}
        What advantages are divided by: the standard deviation over the batch, over the responses to one prompt, or
        nothing. By prompt, as in the paper of GRPO, those on which rewards hardly differ count as much as those on
        which everything is at stake: a weighting of its own beside that of the groups.
    aggregation : {"sum_then_normalize", "normalize_then_sum"}
        Whether rewards are summed first, or each group's are first centred and scaled for each prompt. The second takes
        every group's scale out, and with it how much is at stake for whom: MaxMin and Nash then weigh signs of
        advantages, not gains.

    References
    ----------
    Z. Shao et al., DeepSeekMath, arXiv:2402.03300; S. Chakraborty et al., MaxMin-RLHF, ICML 2024, arXiv:2402.08925;
    X. Li et al., multi-objective GRPO, arXiv:2503.21819.
    """

    name: ClassVar[str] = "group_grpo"
    columns: ClassVar[tuple[str, ...]] = ("prompt",)
    rates: ClassVar[tuple[float, float]] = (1e-6, 1e-5)

    reward: Score | None = field(default=None, repr=False, compare=False)
    groups: tuple[str, ...] = ()
    dual: DualWeights = field(default_factory=DualWeights)
    samples: int = 8
    response_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    beta: float = 0.04
    unit: Literal["start", "raw"] = "start"
    disagreement: tuple[float, ...] | None = None
    anchor_samples: int = 4
    scale_rewards: Literal["batch", "group", "none"] = "batch"
    aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = "sum_then_normalize"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 2 or (self.batch_size * self.accumulation) % self.samples:
            raise UsageError(
                f"samples={self.samples!r} does not fit {self.batch_size} x {self.accumulation} rows a step.",
                fix="Draw 2 at least, and make batch_size * accumulation a multiple of samples.",
            )
        if self.response_tokens < 1 or self.anchor_samples < 2 or not self.temperature > 0 or not 0 < self.top_p <= 1:
            raise UsageError(
                f"response_tokens={self.response_tokens!r}, anchor_samples={self.anchor_samples!r}, "
                f"temperature={self.temperature!r}, top_p={self.top_p!r} are not possible.",
                fix="response_tokens is at least 1, anchor_samples 2, temperature above 0, top_p in (0, 1].",
            )
        if isinstance(self.adapter, PromptTuning):
            raise UsageError(
                "A tuned prompt cannot be trained online: PEFT puts it before the padding of short prompts.",
                fix="Train a LoRA, or all weights.",
            )
        if not 0 <= self.beta < np.inf:
            raise UsageError(f"beta={self.beta!r} is not possible.", fix="It is at least 0.")
        for name, choices in (
            ("unit", ("start", "raw")),
            ("scale_rewards", ("batch", "group", "none")),
            ("aggregation", ("sum_then_normalize", "normalize_then_sum")),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"{name}={getattr(self, name)!r} is not possible.", fix=f"One of {', '.join(choices)}."
                )
        if len(set(self.groups)) < len(self.groups) or isinstance(self.groups, str):
            raise UsageError(f"groups={self.groups!r} are no names.", fix="Give each column of the reward its own.")
        if self.groups:
            self.dual.begin(self.groups)
        point = self.disagreement
        if point is not None and (len(point) != len(self.groups) or not np.isfinite(point).all()):
            raise UsageError(f"disagreement={point!r} is not possible.", fix="Give one number for each group.")

    def loss(self, *args: Any, **options: Any) -> NoReturn:
        """There is none: what is learnt from is drawn while it is learnt.

        Raises
        ------
        UsageError
        """
        raise UsageError("GRPO has no loss on given data.", fix="Score responses by the reward instead.")

    def _score(self) -> Score:
        if self.reward is None:
            raise _no_reward()
        return self.reward

    def _trl_names(self) -> tuple[str, str]:
        return "GRPOTrainer", "GRPOConfig"

    def _lengths(self) -> dict[str, Any]:
        return {"max_completion_length": self.response_tokens}

    def _options(self) -> dict[str, Any]:
        return {
            "num_generations": self.samples,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "beta": self.beta,
            "scale_rewards": self.scale_rewards,
            "multi_objective_aggregation": self.aggregation,
            "reward_weights": self.dual.begin(self.groups).weights.tolist() if self.groups else None,
        }

    def _compares(self) -> bool:
        return self.beta > 0

    def _reference(self, model: LanguageModel, reference: LanguageModel | None) -> Any:
        if reference is not None and not self._compares():
            raise UsageError("With beta=0 nothing is compared with a reference.", fix="Leave it out, or raise beta.")
        return super()._reference(model, reference)

    def _rows(self, model: LanguageModel, source: Source) -> Any:
        datasets = require("datasets", extra="lm", purpose=f"The recipe {self.name!r}")
        if not self.groups:
            raise _no_reward()
        self._score()
        contexts = answered(source, ())[0]
        at_once = self.batch_size * self.accumulation // self.samples
        if len(contexts) < at_once:
            raise DataError(
                f"A step takes {at_once:,} different prompts, and there are {len(contexts):,}.",
                where=source.name,
                fix="Give more prompts, raise samples, or lower batch_size.",
            )
        texts = [model.prompt_text(prompt, system=system, examples=turns) for prompt, system, turns in contexts]
        tokens = [model.prompt_tokens(prompt, system=system, examples=turns) for prompt, system, turns in contexts]
        for row, each in enumerate(tokens):
            if len(each) + self.response_tokens > model.limit:
                raise DataError(
                    f"A prompt of {len(each):,} tokens leaves no room for {self.response_tokens:,}.",
                    where=f"{source.name}, row {row + 1}",
                    fix=f"{model.name} reads {model.limit:,} tokens: shorten the prompt or response_tokens.",
                )
        asked = [prompt for prompt, _, _ in contexts]
        systems = [system for _, system, _ in contexts]
        # the trainer renders and tokenises nothing: a text stands for its tokens
        return datasets.Dataset.from_dict({"prompt": texts, "asked": asked, "system": systems, "tokens": tokens})

    def _settings(self, model: LanguageModel, reference: LanguageModel | None, rows: Any) -> dict[str, Any]:
        plain = Recipe._settings(dataclasses.replace(self, reward=None), model, reference, rows)
        some = list(rows["asked"])[:4]
        known = group_values(self._score(), self.groups, some, some)
        return {**plain, "reward": np.round(known, 4).tolist()}

    def _trainer(
        self, network: Any, reference: Any, model: LanguageModel, rows: Any, place: Path, *, adapter: Any = None
    ) -> Any:
        rewards = GroupRewards(self._score(), self.dual.begin(self.groups), self._anchor(model, rows))
        trainer = silence(
            _trainer_class()(
                model=network,
                reference=reference,
                tokens=dict(zip(rows["prompt"], rows["tokens"], strict=True)),
                reward_funcs=rewards.functions(),
                args=self._args(model, place),
                train_dataset=rows.remove_columns("tokens"),
                processing_class=_left_padding(model),
                peft_config=adapter,
            )
        )
        trainer.add_callback(dual_weight_callback(rewards, trainer))
        return trainer

    def _anchor(self, model: LanguageModel, rows: Any) -> Anchor:
        """Mean and standard deviation of each group's reward over the start's responses."""
        drawn = model.generate(
            list(rows["asked"]),
            n=self.anchor_samples,
            max_tokens=self.response_tokens,
            system=list(rows["system"]),
            rng=np.random.default_rng([self.rng, _ANCHOR]),
        )
        values = group_values(self._score(), self.groups, drawn.prompt_texts, drawn.texts)
        zero = values.mean(axis=0) if self.disagreement is None else np.array(self.disagreement, dtype=np.float64)
        if self.unit == "raw":
            return Anchor(zero, np.ones(len(self.groups)))
        unit = values.std(axis=0)
        flat = [name for name, sd in zip(self.groups, unit, strict=True) if not sd > 0]
        if flat:
            raise DataError(
                f"All responses of the start are worth the same to {flat[0]!r}, so its gains have no unit.",
                fix="Start from a model whose responses differ, or set unit='raw'.",
            )
        return Anchor(zero, unit)


def _left_padding(model: LanguageModel) -> Any:
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.padding_side = "left"
    return tokenizer


def _no_reward() -> UsageError:
    return UsageError(
        "There is no reward to learn from.", fix="Set reward=..., and groups to the names of its columns."
    )


def _trainer_class() -> type:
    """TRL's trainer, given the tokens of its prompts and the network that its KL is from."""
    base: Any = quiet_trainer(trl_name("GRPOTrainer"))
    utils = require("trl.trainer.utils", extra="lm", purpose="The recipe 'group_grpo'")

    def build(self: Any, *, reference: Any, tokens: dict[str, list[int]], args: Any, **options: Any) -> None:
        price, self.prompt_tokens = args.beta, tokens
        if reference is not None:
            # else it would load a reference by the name of the model, which need not be anywhere
            args.beta = 0.0
        base.__init__(self, args=args, **options)
        count_positions(self.model)
        if reference is not None:
            args.beta = self.beta = price
            utils.add_fused_lm_head(reference, temperature=self.temperature)
            count_positions(reference)
            self.ref_model = self.accelerator.prepare_model(reference, evaluation_mode=True)

    def tokenize(self: Any, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.prompt_tokens[text]) for text in prompts], None, {}

    def order(self: Any, dataset: Any = None) -> Any:
        sampler, seed = base._get_train_sampler(self, dataset), self.args.seed
        # its order goes on from pass to pass, which a resumed training would not know
        sampler.set_epoch = lambda epoch: sampler.generator.manual_seed(seed + epoch)
        return sampler

    methods = {"__init__": build, "_tokenize_prompts": tokenize, "_get_train_sampler": order}
    return type("GroupGRPOTrainer", (base,), methods)
