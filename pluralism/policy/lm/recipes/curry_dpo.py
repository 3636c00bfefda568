"""Curriculum DPO: pairs that are easy to tell apart first, and the reference moved up after each stage."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pluralism.data.sources import Source
from pluralism.embeddings.progress import ProgressOption
from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.adapter_settings import AdapterSettings
from pluralism.policy.lm.recipes.dpo import DPO
from pluralism.policy.lm.recipes.paired import PairedRecipe
from pluralism.policy.lm.recipes.training_rows import choose_rows, columns_of, numbers_of

if TYPE_CHECKING:
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["CurryDPO"]


@dataclass(frozen=True, kw_only=True)
class CurryDPO:
    """Curriculum DPO: one training for each stage of pairs, each with the policy of the stage before as reference.

    Stages come from a column `stage`, in ascending order. Where there is none, or all pairs have one stage, they come
    from a column `margin` (the gap of ratings or rewards): the pairs are sorted by falling margin and cut into `stages`
    parts of one size. One training on a sorted data set would be no curriculum, for a trainer shuffles.

    Attributes
    ----------
    stage : PairedRecipe
        How each stage trains.
    stages : int
        How many, where a column `margin` makes them.

    References
    ----------
    P. Pattnaik et al., "Curry-DPO: enhancing alignment using curriculum learning & ranked preferences",
    arXiv:2403.07230.
    """

    name: ClassVar[str] = "curry_dpo"
    columns: ClassVar[tuple[str, ...]] = PairedRecipe.columns

    stage: PairedRecipe = field(default_factory=DPO)
    stages: int = 3

    def __post_init__(self) -> None:
        if self.stages < 1:
            raise UsageError(f"stages={self.stages!r} is not possible.", fix="Give one at least.")

    @property
    def adapter(self) -> AdapterSettings | None:
        """The adapter that the stages train, if they train one."""
        return self.stage.adapter

    def train(
        self,
        model: LanguageModel,
        data: Any,
        out: str | os.PathLike[str],
        *,
        group: str | None = None,
        callbacks: Sequence[Any] = (),
        progress: ProgressOption = False,
    ) -> LanguageModel:
        """Train stage after stage; a training that was killed goes on in the stage it was in.

        Parameters
        ----------
        model : LanguageModel
            The start, and the reference of the first stage.
        data : ConditionedPairs, datasets.Dataset, frame, mapping of columns or list of records
            Columns prompt, chosen, rejected, and `stage` or `margin`; perhaps `system` and `group`.
        out : path-like
            Gets a folder for each stage.
        group : str, optional
            Train on the rows of this group.
        callbacks : sequence of transformers.TrainerCallback
            Each sees every stage, whose steps are counted from 0.
        progress : bool or callable
            Counts the steps of each stage.

        Returns
        -------
        LanguageModel
            The policy after the last stage.

        Raises
        ------
        DataError
            There is neither `stage` nor `margin`, or fewer pairs than stages.
        UsageError
            `out` holds another training.
        """
        source = choose_rows(data, self.columns, group=group)
        current, place = model, Path(out)
        for number, rows in enumerate(self.stages_of(source)):
            kept = {name: [cells[row] for row in rows] for name, cells in columns_of(source).items()}
            current = self.stage.train(current, kept, place / f"stage-{number}", callbacks=callbacks, progress=progress)
        return current

    def stages_of(self, data: Any) -> list[list[int]]:
        """The rows of each stage, in the order of training.

        Raises
        ------
        DataError
        """
        source = data if isinstance(data, Source) else choose_rows(data, self.columns)
        stage = np.array(numbers_of(source, "stage") if "stage" in source else [0] * source.n_rows)
        values = np.unique(stage)
        if len(values) > 1 or ("stage" in source and "margin" not in source):
            return [np.flatnonzero(stage == value).tolist() for value in values]
        if "margin" not in source:
            raise DataError(
                "Neither the column 'stage' nor 'margin' is there.",
                where=source.name,
                fix="Write each pair's stage, or the gap between its ratings.",
            )
        if source.n_rows < self.stages:
            raise DataError(
                f"{source.n_rows} pairs cannot fill {self.stages} stages.", where=source.name, fix="Set fewer stages."
            )
        falling = np.argsort(-np.array(numbers_of(source, "margin"), dtype=float), kind="stable")
        return [part.tolist() for part in np.array_split(falling, self.stages)]
