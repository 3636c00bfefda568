"""Pairs to train policies of groups on: which of two responses a group prefers by a fitted model, and by how much."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from pluralism.calibration.text import format_table, json_ready
from pluralism.data.trl import dataset_of
from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.text_rewards import TextReward

if TYPE_CHECKING:
    import datasets

__all__ = ["ConditionedPairs", "Pairing"]

Pairing = Literal["extremes", "mirrored", "curriculum", "all"]
"""Which pairs are made of a prompt's responses; see `ConditionedPairs.from_rewards`."""

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@dataclass(frozen=True, eq=False, repr=False)
class ConditionedPairs:
    """Pairs of responses, each with the group that prefers the first.

    Attributes
    ----------
    groups : tuple of str
    group : int array of shape (pairs,)
        Whose preference it is.
    prompts, chosen, rejected : tuples of str
    margin : array of shape (pairs,)
        How much more the group likes the chosen one, in the unit of the reward.
    stage : int array of shape (pairs,)
        Of a curriculum, from 0; the easiest pairs first.
    systems : tuple of str or None
        The system message of each group; None where it has none.
    made : int array of shape (groups,)
        Pairs before the filter, of each group; what it left of them is in `kept`.
    """

    groups: tuple[str, ...]
    group: Int64[np.ndarray, " pairs"]
    prompts: tuple[str, ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    margin: Float64[np.ndarray, " pairs"]
    stage: Int64[np.ndarray, " pairs"]
    systems: tuple[str | None, ...]
    made: Int64[np.ndarray, " groups"]

    @classmethod
    def from_rewards(
        cls,
        reward: TextReward,
        prompts: Sequence[str],
        responses: Sequence[str],
        *,
        pairing: Pairing = "extremes",
        systems: Mapping[str, str] | None = None,
        min_margin: float = 0.0,
        agreeing: Sequence[TextReward] = (),
        max_stages: int | None = None,
    ) -> ConditionedPairs:
        """Pairs from responses to prompts, for each column of a reward: a group, a person or a direction.

        Parameters
        ----------
        reward : TextReward
            Not combined; in its own columns a pair's margin is free of the constants that rewards are known up to.
        prompts, responses : sequences of str
            Responses to choose among, several for each prompt; ``Generations`` have ``prompt_texts`` and ``texts``.
        pairing : {"extremes", "mirrored", "curriculum", "all"}
            The best and the worst response of each prompt; the best with the worst, the second best with the second
            worst and so on, each response once; the best with the worst, with the second worst and so on [1]_; or all
            pairs. The second and third are stages of a curriculum of falling margins. Equal rewards make no pair.
        systems : mapping of str to str, optional
            A system message for columns by name, as of `DirectionalReward.system_prompt`; it goes before the prompt in
            conversations, so that one policy learns to do as it says.
        min_margin : float
            Pairs below this margin are left out.
        agreeing : sequence of TextReward
            Consistency filter: rewards with the same columns, such as of another seed or encoder; a pair stays where
            all of them prefer the same response. What filters take from a group is in `made` and `kept`: look at it,
            since filters of noise remove minorities first.
        max_stages : int, optional
            For "mirrored" and "curriculum": the most pairs of a prompt and group.

        Raises
        ------
        UsageError
            The reward is combined, or a setting cannot work.
        DataError
            No prompt has two different responses that some group tells apart.

        References
        ----------
        .. [1] P. Pattnaik et al., Curry-DPO: Enhancing alignment using curriculum learning and ranked preferences,
           arXiv:2403.07230.
        """
        if pairing not in get_args(Pairing) or not min_margin >= 0 or (max_stages is not None and max_stages < 1):
            raise UsageError(
                f"pairing={pairing!r}, min_margin={min_margin!r} or max_stages={max_stages!r} cannot work.",
                fix=f"pairing is one of {', '.join(get_args(Pairing))}, the margin at least 0, and stages 1 or more.",
            )
        if reward.combination is not None or any(one.names != reward.names or one.combination for one in agreeing):
            raise UsageError(
                "Pairs are made for each column, and rewards that must agree have the same columns.",
                fix="Pass rewards before weighted(), welfare() or least().",
            )
        named = {} if systems is None else dict(systems)
        unknown = [name for name in named if name not in reward.names]
        if unknown:
            raise UsageError(
                f"There is no column {unknown[0]!r}.", fix=f"Choose among {', '.join(map(repr, reward.names))}."
            )
        asked, said = _distinct(prompts, responses)
        values = reward.matrix(asked, said)
        others = [one.matrix(asked, said) for one in agreeing]
        better, worse, group, stage = _pairs(asked, values, pairing, max_stages)
        margin = values[better, group] - values[worse, group]
        kept = margin >= min_margin
        for other in others:
            kept &= other[better, group] > other[worse, group]
        if not len(better):
            raise DataError(
                "No prompt has two responses that a group tells apart.",
                fix="Pass several different responses a prompt.",
            )
        made = np.bincount(group, minlength=len(reward.names)).astype(np.int64)
        rows = np.flatnonzero(kept)
        return cls(
            groups=reward.names,
            group=group[rows],
            prompts=tuple(asked[k] for k in better[rows]),
            chosen=tuple(said[k] for k in better[rows]),
            rejected=tuple(said[k] for k in worse[rows]),
            margin=margin[rows],
            stage=stage[rows],
            systems=tuple(named.get(name) for name in reward.names),
            made=made,
        )

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def n_stages(self) -> int:
        """Stages of the curriculum."""
        return int(self.stage.max(initial=-1)) + 1

    @property
    def kept(self) -> Int64[np.ndarray, " groups"]:
        """Pairs of each group."""
        return np.bincount(self.group, minlength=len(self.groups)).astype(np.int64)

    def of_group(self, name: str) -> ConditionedPairs:
        """The pairs of one group.

        Raises
        ------
        UsageError
            There is no such group.
        """
        if name not in self.groups:
            raise UsageError(f"There is no group {name!r}.", fix=f"Choose among {', '.join(map(repr, self.groups))}.")
        return self._take(self.group == self.groups.index(name))

    def of_stage(self, stage: int) -> ConditionedPairs:
        """The pairs of one stage of the curriculum: train on one after the other."""
        if not 0 <= stage < self.n_stages:
            raise UsageError(f"There is no stage {stage}.", fix=f"Stages are 0 to {self.n_stages - 1}.")
        return self._take(self.stage == stage)

    def to_frame(self) -> pa.Table:
        """Columns `prompt, chosen, rejected, margin, group, stage` and, where groups have one, `system`; as texts."""
        columns: dict[str, Any] = {
            "prompt": list(self.prompts),
            "chosen": list(self.chosen),
            "rejected": list(self.rejected),
            "margin": self.margin,
            "group": [self.groups[k] for k in self.group],
            "stage": self.stage,
        }
        if any(system is not None for system in self.systems):
            columns["system"] = pa.array([self.systems[k] for k in self.group], pa.string())
        return pa.table(columns)

    def to_dataset(self, *, conversational: bool = True) -> datasets.Dataset:
        """Preference data as TRL's trainers of pairs take them, with `margin` and `group`.

        Parameters
        ----------
        conversational : bool
            Lists of messages, the system message of the group first. As texts, system messages stay in a column.
        """
        table = self.to_frame()
        if not conversational:
            return dataset_of(table)
        columns: dict[str, Any] = {
            "prompt": pa.array([self._asked(row) for row in range(len(self))], _MESSAGES),
            "chosen": pa.array([_answer(text) for text in self.chosen], _MESSAGES),
            "rejected": pa.array([_answer(text) for text in self.rejected], _MESSAGES),
        }
        return dataset_of(pa.table(columns | {name: table[name] for name in ("margin", "group", "stage")}))

    def to_unpaired(self, *, conversational: bool = True) -> datasets.Dataset:
        """Single responses with a thumb up or down (`prompt, completion, label, group`), as KTO and BCO take them.

        A response that a group is shown several times with the same thumb comes once. One that is chosen in a pair and
        rejected in another comes with both thumbs, as people give them.
        """
        return self._singles({True: self.chosen, False: self.rejected}, conversational)

    def to_answers(self, *, conversational: bool = True) -> datasets.Dataset:
        """The chosen responses, each once for a group (`prompt, completion, group`), as supervised tuning takes them.

        Of pairs of extremes they are the best of each prompt's responses: finetuning by rejection sampling.
        """
        return self._singles({True: self.chosen}, conversational).remove_columns("label")

    def _singles(self, sides: Mapping[bool, tuple[str, ...]], conversational: bool) -> datasets.Dataset:
        rows = list(
            dict.fromkeys(
                (self.group[row], prompt, responses[row], label)
                for row, prompt in enumerate(self.prompts)
                for label, responses in sides.items()
            )
        )
        group, prompts, responses, labels = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 4
        columns: dict[str, Any] = {"prompt": prompts, "completion": responses}
        if conversational:
            asked = [_question(prompt, self.systems[k]) for prompt, k in zip(prompts, group, strict=True)]
            columns = {
                "prompt": pa.array(asked, _MESSAGES),
                "completion": pa.array([_answer(text) for text in responses], _MESSAGES),
            }
        columns |= {"label": pa.array(labels, pa.bool_()), "group": [self.groups[k] for k in group]}
        if not conversational and any(system is not None for system in self.systems):
            columns["system"] = pa.array([self.systems[k] for k in group], pa.string())
        return dataset_of(pa.table(columns))

    def to_dict(self) -> dict[str, Any]:
        """What was made and kept of each group, and the rows of `to_frame`."""
        return json_ready(
            {
                "groups": list(self.groups),
                "made": self.made,
                "kept": self.kept,
                "n_stages": self.n_stages,
                "rows": self.to_frame().to_pylist(),
            }
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        n, stages = len(self), self.n_stages
        head = f"ConditionedPairs({n:,} pair{'s' * (n != 1)}{f' in {stages} stages' * (stages > 1)})"
        left = [self.margin[self.group == k] for k in range(len(self.groups))]
        columns = {
            "group": list(self.groups),
            "made": self.made.tolist(),
            "kept": self.kept.tolist(),
            "mean margin": [float(margin.mean()) if len(margin) else np.nan for margin in left],
        }
        return "\n".join([head, format_table(columns, 3)])

    def _take(self, mask: Bool[np.ndarray, " pairs"]) -> ConditionedPairs:
        changes: dict[str, Any] = {}
        for name in ("group", "prompts", "chosen", "rejected", "margin", "stage"):
            column = getattr(self, name)
            changes[name] = column[mask] if isinstance(column, np.ndarray) else tuple(np.array(column, object)[mask])
        return replace(self, **changes)

    def _asked(self, row: int) -> list[dict[str, str]]:
        return _question(self.prompts[row], self.systems[self.group[row]])


def _distinct(prompts: Sequence[str], responses: Sequence[str]) -> tuple[list[str], list[str]]:
    """Each response of a prompt once: a pair of equal texts teaches nothing."""
    if isinstance(prompts, str) or isinstance(responses, str) or len(prompts) != len(responses) or not len(prompts):
        raise UsageError("Pairs are made of lists of prompts and responses.", fix="Pass one prompt for each response.")
    pairs = list(dict.fromkeys(zip(prompts, responses, strict=True)))
    return [prompt for prompt, _ in pairs], [response for _, response in pairs]


def _pairs(
    prompts: Sequence[str], values: Float64[np.ndarray, "rows groups"], pairing: Pairing, most: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the better and the worse response, whose preference it is, and the stage; by group and prompt."""
    rows_of: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows_of.setdefault(prompt, []).append(row)
    found: list[tuple[int, int, int, int]] = []
    for group in range(values.shape[1]):
        for rows in rows_of.values():
            order = sorted(rows, key=lambda row: -values[row, group])
            last = most or len(order)
            if pairing == "all":
                pairs = [(a, b, 0) for k, a in enumerate(order) for b in order[k + 1 :]]
            elif pairing == "mirrored":
                pairs = [(order[k], order[-1 - k], k) for k in range(min(last, len(order) // 2))]
            else:
                last = 1 if pairing == "extremes" else last
                pairs = [(order[0], order[-1 - k], k) for k in range(min(last, len(order) - 1))]
            found += [(a, b, group, stage) for a, b, stage in pairs if values[a, group] > values[b, group]]
    columns = np.array(found, dtype=np.int64).reshape(-1, 4)
    return columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3]


def _question(prompt: str, system: str | None) -> list[dict[str, str]]:
    before = [] if system is None else [{"role": "system", "content": system}]
    return [*before, {"role": "user", "content": prompt}]


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
