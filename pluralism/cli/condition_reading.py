"""What conditioning reads: who is followed, who judges, for which groups, and on which prompts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.cli.encoding import Encoding
from pluralism.cli.loading import RunData, training_data
from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.random import as_generator

if TYPE_CHECKING:
    from pluralism.cli.progress import Stages
    from pluralism.cli.run_directory import Run
    from pluralism.data import Comparisons, Items
    from pluralism.embeddings import Encoder
    from pluralism.policy.lm.held_out_judges import HeldOutPair
    from pluralism.policy.lm.text_rewards import TextReward

__all__ = ["Judges", "Study", "choose_prompts", "read_prompts", "read_study"]

HALVES = "rewards"


@dataclass(frozen=True)
class Judges:
    """Who judges, and how texts are read, as on the command line."""

    run: Path | None
    encoder: str | None
    data: Path | None
    encoding: Encoding
    items: Path | None
    features: Path | None


@dataclass(frozen=True, eq=False)
class Study:
    """What a run says of its groups.

    Attributes
    ----------
    followed, judge : TextReward
        A column for each group of the run, in the run's order: to be optimised for, and to judge.
    groups : tuple of str
        For whom conditions are made.
    shares : list of float
        How large each group of the run is.
    items : Items
        The texts of the run.
    said : str
        Who judges, in words.
    facts : dict
        For the report.
    """

    followed: TextReward
    judge: TextReward
    groups: tuple[str, ...]
    shares: list[float]
    items: Items
    said: str
    facts: dict[str, Any]


def read_study(run: Path, judges: Judges, out: Path, groups: str, seed: int, stage: Stages) -> Study:
    """Load the run, and two rewards of its groups: one to follow, one to judge by.

    Raises
    ------
    UsageError
        If the run has no groups, features without an encoder, or the judge is no other run.
    DataError
        If the judge was fitted to people who are followed.
    """
    from pluralism.cli.run_directory import load_run
    from pluralism.embeddings import resolve
    from pluralism.policy.lm.experiment_cells import CellStore
    from pluralism.policy.lm.held_out_judges import agreement, groups_by_reward, refuse_optimised
    from pluralism.reports import group_name

    loaded = load_run(run)
    model: Any = loaded.model
    if getattr(model, "places", None) != "groups" or model.n_groups_ < 2:
        raise UsageError(
            f"This {type(model).__name__} has no groups that could be answered differently.",
            where=str(run),
            fix="Condition for a run with two groups or more, such as one of maxmin.",
        )
    if judges.run is not None and judges.encoder is not None:
        raise UsageError(
            "A run that judges has an encoder of its own.",
            where="--judge-encoder",
            fix="Leave it out, or leave --judge.",
        )
    names = tuple(group_name(k) for k in range(model.n_groups_))
    chosen = _chosen(groups, names)
    source, comparisons, digest = _training(loaded, judges, stage)
    reads = _encoder(loaded, source.encoding)
    facts: dict[str, Any] = {"run": model.fingerprint_, "data": digest, "seed": seed}
    if judges.run is None:
        judge_reads = reads if judges.encoder is None else resolve(judges.encoder)
        facts["judge"] = {"halves of": model.fingerprint_, "encoder": judges.encoder}
    else:
        other = load_run(judges.run)
        if judges.run.resolve() == run.resolve():
            raise UsageError(
                "The run that is followed cannot judge.",
                where=f"--judge {judges.run}",
                fix="Name a run of other people.",
            )
        refuse_optimised(other.model, [model])
        theirs = RunData(other, replace(source.reading), Encoding(None, {}, judges.encoding.cache))
        judge_reads = _encoder(other, theirs.encoding)
        facts["judge"] = {"run": other.model.fingerprint_}
    # The folder is claimed before anything is put into it, so that a run that was stopped finds itself again.
    CellStore(out, {"rewards": facts}).claim()
    if judges.run is not None:
        mine = comparisons.items
        items = theirs.embed_items(mine.without_features(), judges.run, stage.share)
        order = groups_by_reward(model, mine, other.model, items)
        followed = _reward(model, reads, np.arange(model.n_groups_), names, judges.encoding)
        judge = _reward(other.model, judge_reads, order, names, judges.encoding)
        said = f"the run {judges.run.name} of {len(other.model.users_):,} other people"
        alike = agreement(model.reward(mine), other.model.reward(items)[:, order], mine)
        told = {"judge": said, "agreement of run and judge": _alike(alike)}
    else:
        pair = _halves(model, comparisons, judges, out, judge_reads, seed, stage)
        followed = _reward(pair.optimised, reads, pair.optimised_groups, names, judges.encoding)
        judge = _reward(pair.judge, judge_reads, pair.judge_groups, names, judges.encoding)
        eyes = "" if judges.encoder is None else f", read with {judge_reads.name}"
        said = f"{pair.judge_users:,} of the people{eyes}; the other {pair.optimised_users:,} were followed"
        told = {"judge": said, "agreement of the two halves": _alike(pair.agreement)}
    return Study(followed, judge, chosen, model.group_weights_.tolist(), comparisons.items, said, told)


def choose_prompts(
    given: Sequence[str] | None, study: Study, most: int, seed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Prompts to judge on, and those of the run that are none of them, in whatever case and spacing.

    Raises
    ------
    DataError
        If there are too few.
    UsageError
        If the run has no prompts, and none are given.
    """
    items = study.items
    known = [] if items.prompts is None else list(dict.fromkeys(items.prompts.drop_null().to_pylist()))
    if given is not None:
        asked = list(given)
    elif not known:
        raise UsageError("The texts of this run have no prompts.", fix="Name prompts with --prompts FILE.")
    else:
        order = as_generator(seed, "condition prompts").permutation(len(known))
        # Half of them at most, so that there is something to learn from.
        asked = [known[k] for k in order[: max(2, len(known) // 2)]]
    chosen = tuple(asked[:most])
    if len(chosen) < 2:
        raise DataError("The run has fewer than two prompts.", fix="Name prompts with --prompts FILE.")
    held = {_folded(prompt) for prompt in chosen}
    return chosen, tuple(prompt for prompt in known if _folded(prompt) not in held)


def _folded(prompt: str) -> str:
    return " ".join(prompt.split()).casefold()


def read_prompts(path: Path) -> list[str]:
    """Distinct prompts of a file, two or more.

    Raises
    ------
    DataError
        If it cannot be read, or has fewer.
    """
    from pluralism.data.files_io import read_source

    if path.suffix.lower() == ".txt":
        try:
            rows: Sequence[Any] = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as cause:
            what = cause.strerror if isinstance(cause, OSError) else "it is not UTF-8"
            raise DataError(f"The prompts cannot be read: {what}.", where=str(path), fix="Give another.") from cause
    else:
        source = read_source(path)
        if "prompt" not in source:
            raise DataError("There is no column prompt.", where=str(path), fix="Name one so, or give a .txt file.")
        column = source["prompt"]
        rows = column if isinstance(column, list) else column.to_pylist()
    found = list(dict.fromkeys(row.strip() for row in rows if isinstance(row, str) and row.strip()))
    if len(found) < 2:
        raise DataError("There are fewer than two prompts.", where=str(path), fix="Give two different ones, or more.")
    return found


def _chosen(groups: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if groups.strip().lower() == "all":
        return names
    short = {name.removeprefix("Group ").lower(): name for name in names} | {name.lower(): name for name in names}
    asked = [part.strip() for part in groups.split(",") if part.strip()]
    unknown = next((part for part in asked if part.lower() not in short), None)
    if unknown is not None or not asked:
        raise UsageError(
            f"There is no group {unknown!r}." if unknown else "No group is named.",
            where=f"--groups {groups}",
            fix=f"Groups are {', '.join(name.removeprefix('Group ') for name in names)}; or say all.",
        )
    found = {short[part.lower()] for part in asked}
    return tuple(name for name in names if name in found)


def _training(loaded: Run, judges: Judges, stage: Stages) -> tuple[RunData, Comparisons, str]:
    """The data of the run, and their digest."""
    from pluralism.cli.reading import Reading
    from pluralism.cli.run_directory import file_record

    recorded = None if loaded.record is None else loaded.record.data
    manners = (
        {} if recorded is None else recorded.model_dump(include={"kind", "columns", "user", "attribute", "max_pairs"})
    )
    source = RunData(loaded, Reading(**manners, items=judges.items, features=judges.features), judges.encoding)
    path = training_data(loaded, recorded, judges.data)
    digest = file_record(path).sha256
    if recorded is not None and digest != recorded.sha256:
        text = f"{path} is not the file that the run was fitted to, or has changed since."
        warnings.warn(text, DataWarning, stacklevel=2)
    comparisons = source.read(path, stage.share)
    if comparisons.items.texts is None:
        raise UsageError("The run was fitted to items without texts.", fix="Give --items with texts.")
    return source, comparisons, digest


def _encoder(loaded: Run, encoding: Encoding) -> Encoder:
    from pluralism.embeddings import resolve
    from pluralism.embeddings.space import same_space

    if loaded.model.dim_ is None or encoding.name in (None, "none"):
        raise UsageError(
            "What this run thinks of a new text is not known: it was fitted on items alone, or features of your own.",
            where=str(loaded.directory),
            fix="Fit a run with --encoder, or name its encoder with --encoder.",
        )
    reads = resolve(str(encoding.name), **encoding.options)
    space: str | None = getattr(loaded.model, "feature_space_", None)
    if space is not None and not same_space(space, reads.space):
        raise UsageError(
            f"The run was fitted on the space {space!r}, and {reads.name} gives {reads.space!r}.",
            where=f"--encoder {encoding.name}",
            fix="Leave it out, or name the encoder of the run.",
        )
    return reads


def _halves(
    model: Any, data: Comparisons, judges: Judges, out: Path, judge_reads: Encoder, seed: int, stage: Stages
) -> HeldOutPair:
    from pluralism.embeddings import embed
    from pluralism.policy.lm.held_out_judges import HeldOutPair, held_out_pair

    pair = HeldOutPair.load(out / HALVES)
    if pair is None:
        other = None
        if judges.encoder is not None:
            stage(f"reading with {judges.encoder}")
            plain = data.items.without_features()
            features, space = embed(
                plain.encoded_texts(), judge_reads, cache=judges.encoding.folder(), progress=stage.share
            )
            other = data.with_items(plain.with_features(features, space))
        stage("fitting both halves of the people")
        pair = held_out_pair(model, data, judge_data=other, rng=seed)
        pair.save(out / HALVES)
    return pair


def _alike(correlations: np.ndarray) -> str:
    return f"correlation of a group's rewards {float(np.nanmin(correlations)):.2f} at least"


def _reward(model: Any, reads: Encoder, order: np.ndarray, names: tuple[str, ...], encoding: Encoding) -> TextReward:
    """Columns in the order of the run's groups, under its names."""
    from pluralism.policy.lm.text_rewards import TextReward

    own = [f"unmatched {k}" for k in range(model.n_groups_)]
    for name, place in zip(names, order, strict=True):
        own[int(place)] = name
    return TextReward.of_groups(model, reads, names=own, cache=encoding.folder()).only(*names)
