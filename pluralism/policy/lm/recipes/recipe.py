"""What all recipes share: settings that are safe on any machine, training that resumes, and the loss as TRL has it."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from pluralism.embeddings.progress import ProgressOption, reporter
from pluralism.errors import LanguageModelError, UsageError
from pluralism.llm.device import choose_dtype
from pluralism.models.settings import is_whole
from pluralism.policy.lm.adapter_settings import AdapterSettings
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.conditioning.contrastive_teacher import check_same_tokens
from pluralism.policy.lm.recipes.quiet_trainer import (
    progress_callback,
    quiet_trainer,
    silence,
    undisturbed,
)
from pluralism.policy.lm.recipes.training_folder import TrainingFolder
from pluralism.policy.lm.recipes.training_rows import choose_rows
from pluralism.policy.lm.run_folder import weights_digest
from pluralism.policy.lm.shared_weights import same_body, shared_copy, weights_of
from pluralism.policy.lm.trl_names import trl_name

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["Recipe"]

_HARMLESS = ("save_every", "log_every")
"""Settings that do not change the result."""

_COUNTS = ("max_steps", "batch_size", "accumulation", "max_tokens", "save_every", "log_every")

_ROWS_AT_ONCE = 1000

_SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "inverse_sqrt": "inverse_sqrt",
    "constant": "constant_with_warmup",
}
"""Names of schedules, and those of transformers, whose "constant" knows no warm-up."""

_CHECKPOINTING = "activation_checkpointing"
"""What newer versions of transformers call gradient checkpointing, and warn where it has its old name."""


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """Settings of a training, and the training itself by a trainer of TRL.

    Attributes
    ----------
    learning_rate : float, optional
        Of AdamW. By default what is usual for the recipe, and ten times that for an adapter.
    epochs : float
        Passes over the data.
    max_steps : int, optional
        Steps of the optimiser, in the place of `epochs`.
    batch_size : int
        Rows that run together on a device.
    accumulation : int
        Batches that make one step.
    schedule : str
        How the learning rate falls: ``linear``, ``cosine``, ``inverse_sqrt`` or ``constant``.
    warmup : float
        Share of the steps in which it rises first, from 0 and below 1.
    weight_decay : float
    clip : float
        The largest norm of a gradient.
    max_tokens : int, optional
        The most tokens of a prompt and its answer; longer answers are cut at their end, with a `DataWarning`.
    adapter : Lora or PromptTuning, optional
        Train an adapter instead of all weights.
    gradient_checkpointing : bool
        Compute activations twice instead of keeping them: slower, and takes less memory.
    save_every : int
        Steps between two checkpoints, from which a killed training goes on.
    log_every : int
        Steps between two rows of `training_history`.
    rng : int
        Orders the data and starts the adapter. An int, since a resumed training must know it again.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    rates: ClassVar[tuple[float, float]]
    """Usual learning rates: of all weights, and of an adapter."""

    learning_rate: float | None = None
    epochs: float = 1.0
    max_steps: int | None = None
    batch_size: int = 8
    accumulation: int = 1
    schedule: str = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    max_tokens: int | None = 1024
    adapter: AdapterSettings | None = None
    gradient_checkpointing: bool = False
    save_every: int = 100
    log_every: int = 10
    rng: int = 0

    def __post_init__(self) -> None:
        positive = {
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "max_steps": self.max_steps,
            "batch_size": self.batch_size,
            "accumulation": self.accumulation,
            "clip": self.clip,
            "max_tokens": self.max_tokens,
            "save_every": self.save_every,
            "log_every": self.log_every,
        }
        for name, value in positive.items():
            if value is not None and not value > 0:
                raise UsageError(f"{name}={value!r} is not possible.", fix="It is above 0.")
            if value is not None and name in _COUNTS and not is_whole(value):
                raise UsageError(f"{name}={value!r} is not possible.", fix="It is a whole number.")
        if not (0 <= self.warmup < 1 and self.weight_decay >= 0):
            raise UsageError(
                f"warmup={self.warmup!r}, weight_decay={self.weight_decay!r} are not possible.",
                fix="warmup is from 0 and below 1, weight_decay at least 0.",
            )
        if self.schedule not in _SCHEDULES:
            raise UsageError(
                f"schedule={self.schedule!r} is not possible.", fix=f"It is one of {', '.join(_SCHEDULES)}."
            )
        if isinstance(self.rng, bool) or not isinstance(self.rng, int) or self.rng < 0:
            raise UsageError(
                f"rng={self.rng!r} is not possible.", fix="Give an int: a resumed training needs it again."
            )

    def config(self, out: str | os.PathLike[str], *, device: str = "cpu") -> Any:
        """The settings as TRL takes them.

        Mixed precision is bfloat16 where a CUDA device has it and off elsewhere; nothing is reported anywhere; the
        checkpoints are in `out`.

        Parameters
        ----------
        out : path-like
        device : str
            Where the model is.

        Raises
        ------
        MissingExtraError
            trl is not installed.
        """
        kind = trl_name(self._trl_names()[1])
        dtype = choose_dtype("auto", device) if device.startswith("cuda") else "float32"
        full, light = self.rates
        usual = full if self.adapter is None else light
        common = {
            "output_dir": os.fspath(out),
            "learning_rate": usual if self.learning_rate is None else self.learning_rate,
            "num_train_epochs": self.epochs,
            "max_steps": -1 if self.max_steps is None else self.max_steps,
            "per_device_train_batch_size": self.batch_size,
            "per_device_eval_batch_size": self.batch_size,
            "gradient_accumulation_steps": self.accumulation,
            "lr_scheduler_type": _SCHEDULES[self.schedule],
            "warmup_steps": self.warmup,
            "weight_decay": self.weight_decay,
            "max_grad_norm": self.clip,
            **self._lengths(),
            _CHECKPOINTING if _CHECKPOINTING in kind.__dataclass_fields__ else "gradient_checkpointing": (
                self.gradient_checkpointing
            ),
            "bf16": dtype == "bfloat16",
            "fp16": dtype == "float16",
            "use_cpu": device.startswith("cpu"),
            "dataloader_pin_memory": device.startswith("cuda"),
            "save_strategy": "steps",
            "save_steps": self.save_every,
            "save_total_limit": 2,
            "logging_steps": self.log_every,
            "logging_first_step": True,
            "seed": self.rng % 2**32,
            "report_to": "none",
            "disable_tqdm": True,
        }
        return kind(**{**common, **self._options()})

    def train(
        self,
        model: LanguageModel,
        data: Any,
        out: str | os.PathLike[str],
        *,
        group: str | None = None,
        reference: LanguageModel | None = None,
        callbacks: Sequence[Any] = (),
        progress: ProgressOption = False,
    ) -> LanguageModel:
        """Train on the data; a training that was killed goes on from its last checkpoint, to the same result.

        Parameters
        ----------
        model : LanguageModel
            The start, which stays as it is. If it has an adapter and the recipe asks for one, that one is trained on.
        data : ConditionedPairs, datasets.Dataset, frame, mapping of columns or list of records
            With the columns of `columns`, and perhaps `system` (what the model is told before the prompt) and `group`.
        out : path-like
            Folder of this training alone: checkpoints, then the model or its adapter. A finished one is read, not
            trained again.
        group : str, optional
            Train on the rows of this group.
        reference : LanguageModel, optional
            What the policy is compared with, by recipes that compare; the start by default.
        callbacks : sequence of transformers.TrainerCallback
            Such as `pluralism.diagnostics.OverOptimisationMonitor`.
        progress : bool or callable
            As for `pluralism.embeddings.embed`; counts steps.

        Returns
        -------
        LanguageModel
            A new one.

        Raises
        ------
        DataError
            Columns are missing, there are no rows (of this group), or a row cannot be used.
        UsageError
            `out` holds another training or other files, the recipe cannot train this model, or the reference reads
            other tokens.
        LanguageModelError
            The training diverged.
        """
        if reference is not None:
            check_same_tokens(model, reference)
        source = choose_rows(data, self.columns, group=group)
        rows = self._rows(model, source)
        # What cannot be trained is refused before the folder is taken; a plain start can, and its copy is large.
        ready = None if self.adapter is None and not Adapter.is_on(model.network) else self._trained(model)
        compared = self._reference(model, reference)
        folder = TrainingFolder(out, self._settings(model, reference, rows))
        name = f"{model.name} {self.name}" + ("" if group is None else f" {group}")
        if folder.finished:
            return folder.load(model, name)
        with undisturbed(), reporter(progress, f"Training {name}") as report:
            network, adapter = ready or self._trained(model)
            trainer = self._trainer(network, compared, model, rows, folder.checkpoints, adapter=adapter)
            for each in (*callbacks, progress_callback(report)):
                trainer.add_callback(each)
            trainer.train(resume_from_checkpoint=folder.newest_checkpoint())
            result = replace(model, network=self._finished(model, trainer), name=name)
            if not all(bool(weight.isfinite().all()) for weight in weights_of(result.network).values()):
                raise LanguageModelError(
                    "The training diverged: weights are not finite.",
                    where=str(folder.folder),
                    fix="Set a smaller learning_rate, and choose an empty folder.",
                )
            folder.keep(result, trainer.state.log_history)
        return result

    def loss(
        self,
        model: LanguageModel,
        data: Any,
        *,
        group: str | None = None,
        reference: LanguageModel | None = None,
    ) -> float:
        """The loss of a policy on data, as the trainer computes it: a mean over batches of `batch_size` rows.

        Parameters
        ----------
        model : LanguageModel
            The policy.
        data, group
            As in `train`.
        reference : LanguageModel, optional
            What the policy is compared with; itself by default.
        """
        if reference is not None:
            check_same_tokens(model, reference)
        rows = self._rows(model, choose_rows(data, self.columns, group=group))
        other = _compared((reference or model).network) if self._compares() else None
        with undisturbed(), tempfile.TemporaryDirectory() as folder:
            trainer = self._trainer(shared_copy(model.network), other, model, rows, Path(folder))
            return float(trainer.evaluate(eval_dataset=rows)["eval_loss"])

    @abstractmethod
    def _trl_names(self) -> tuple[str, str]:
        """Names of TRL's trainer and of its settings."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """What the recipe adds to the settings."""

    def _lengths(self) -> dict[str, Any]:
        """How long rows may be, as the settings name it."""
        return {"max_length": self.max_tokens}

    @abstractmethod
    def _rows(self, model: LanguageModel, source: Source) -> Any:
        """The data set of tokens that the trainer takes."""

    def _compares(self) -> bool:
        """Whether the loss compares the policy with a reference."""
        return True

    def _trainer_class(self) -> type:
        return quiet_trainer(trl_name(self._trl_names()[0]))

    def _trainer(
        self, network: Any, reference: Any, model: LanguageModel, rows: Any, place: Path, *, adapter: Any = None
    ) -> Any:
        compared = {"ref_model": reference} if self._compares() else {}
        return silence(
            self._trainer_class()(
                model=network,
                args=self._args(model, place),
                train_dataset=rows,
                processing_class=copy.copy(model.tokenizer),
                peft_config=adapter,
                **compared,
            )
        )

    def _args(self, model: LanguageModel, place: Path) -> Any:
        """The settings of a trainer, where there is one device for it."""
        settings = self.config(place, device=str(model.device))
        if settings.n_gpu > 1:
            raise UsageError(
                "One process sees several GPUs, and TRL's trainers take one each.",
                fix="Set CUDA_VISIBLE_DEVICES to one of them, or start the script by `accelerate launch`.",
            )
        return settings

    def _trained(self, model: LanguageModel) -> tuple[Any, Any]:
        """A network that the trainer may change, and the settings of the adapter that it is to put on."""
        network = model.network
        if self.adapter is None:
            return _all_weights(network), None
        if not Adapter.is_on(network):
            self.adapter.check(network)
            return shared_copy(network), self.adapter.config()
        held = Adapter.of(network).config
        if type(held) is not type(self.adapter.config()):
            raise UsageError(
                f"The model has another adapter ({type(held).__name__}) than the recipe trains.",
                fix="Train the same kind, or begin with a model without one.",
            )
        return Adapter.of(network).on(Adapter.base_of(network), trained=True), None

    def _reference(self, model: LanguageModel, reference: LanguageModel | None) -> Any:
        if not self._compares() or (reference is None and self.adapter is not None):
            # With an adapter, the trainer takes the reference from the same network without what is trained.
            return None
        return _compared((reference or model).network)

    def _finished(self, model: LanguageModel, trainer: Any) -> Any:
        network = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        if self.adapter is not None:
            return Adapter.of(network).on(Adapter.base_of(model.network))
        return same_body(Adapter.merged(model.network), weights_of(network))

    def _settings(self, model: LanguageModel, reference: LanguageModel | None, rows: Any) -> dict[str, Any]:
        recipe = {k: v for k, v in dataclasses.asdict(self).items() if k not in _HARMLESS}
        return {
            "recipe": {"name": self.name, **json.loads(json.dumps(recipe))},
            "model": weights_digest(model.network),
            "reference": None if reference is None else weights_digest(reference.network),
            "data": _rows_digest(rows),
        }


def _rows_digest(rows: Any) -> str:
    state = hashlib.sha256()
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        state.update(json.dumps(rows[start : start + _ROWS_AT_ONCE]).encode())
    return state.hexdigest()


def _compared(network: Any) -> Any:
    """A reference that the trainers of TRL can run: they know none that is a network of PEFT."""
    body = shared_copy(network)
    if not Adapter.is_on(body):
        return body
    if not hasattr(body, "merge_and_unload"):
        raise UsageError(
            "A model with a tuned prompt cannot be the reference.",
            fix="Take its base as reference, or train the same prompt further: the start is then its own reference.",
        )
    # The layers of a LoRA stand in the network itself.
    return body.get_base_model()


def _all_weights(network: Any) -> Any:
    """A copy of a network in float32 all of whose weights are trained; an adapter is merged into it."""
    merged = Adapter.merged(network)
    copied = (copy.deepcopy(merged) if merged is network else merged).float()
    for weight in copied.parameters():
        weight.requires_grad_(weight.dtype == torch.float32)
    return copied
