"""What an audit reads: the verdicts of the principles, and of the annotators that were named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.cli.audit_judge import Judge
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.reading import Reading
    from pluralism.data import Comparisons
    from pluralism.discretion import (
        BetweenGroups,
        DiscretionAudit,
        PrinciplePreferences,
        PrincipleSet,
        Verdicts,
    )

__all__ = ["groups_of", "read_annotators", "read_oracle"]

PARTS = ("groups", "users")
PEOPLE = "human"
Share = Callable[[int, int], None]


def read_oracle(
    comparisons: Comparisons,
    principles: PrincipleSet,
    judge: Judge,
    verdicts: Path | None,
    margin: float,
    progress: Share,
) -> PrinciplePreferences:
    """What the principles say: by a table, by counting, or by the judge.

    Raises
    ------
    UsageError
        If principles have to be judged, and nobody is named who could.
    """
    from pluralism.discretion import factor_preferences, judge_preferences, read_preferences

    if verdicts is not None:
        return read_preferences(verdicts, principles, len(comparisons))
    if all(principle.factor is not None for principle in principles.principles):
        return factor_preferences(comparisons, principles, margin=margin)
    if not judge.who.named:
        raise UsageError(
            f"The principles of {principles.name!r} have to be judged.",
            where="--principles",
            fix="Add --llm URL --llm-model NAME, --local MODEL, or --verdicts FILE; or use --principles factors.",
        )
    return judge_preferences(comparisons, principles, judge.model(), progress=progress, **judge.asking)


def read_annotators(
    names: Sequence[str],
    comparisons: Comparisons,
    data: Path,
    reading: Reading,
    encoding: Encoding,
    judge: Judge,
    progress: Share,
) -> list[Verdicts]:
    """Verdicts of all annotators that were named.

    Raises
    ------
    UsageError
        If one is unknown, or comes twice.
    """
    from pluralism.discretion import (
        SequenceReward,
        group_verdicts,
        human_verdicts,
        judge_verdicts,
        likelihood_verdicts,
        model_verdicts,
        reward_verdicts,
    )

    found: list[Verdicts] = []
    for name in names:
        if name == PEOPLE:
            found.append(human_verdicts(comparisons))
        elif name == f"{PEOPLE}:groups":
            found += group_verdicts(comparisons)
        elif name == "judge" or name.startswith("judge:"):
            model = judge.model(name.removeprefix("judge").removeprefix(":") or None)
            found.append(judge_verdicts(comparisons, model, progress=progress, **judge.asking))
        elif name == "likelihood":
            found.append(_likelihood(judge, comparisons, likelihood_verdicts))
        elif name.startswith("reward:"):
            reward = name.removeprefix("reward:")
            found.append(reward_verdicts(comparisons, SequenceReward(reward), name=Path(reward).name))
        else:
            path, of = _run_of(name)
            embedded, run = _for_run(path, comparisons, data, reading, encoding, progress)
            called = f"{path.name}:users" if of == "users" else path.name
            found += model_verdicts(run, embedded, of=of, name=called)
    seen = [annotator.name for annotator in found]
    twice = next((name for name in seen if seen.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"Two annotators are called {twice!r}.", where="--annotator", fix="Name each once; rename a folder."
        )
    return found


def groups_of(audit: DiscretionAudit, pooled: str | None) -> list[BetweenGroups]:
    """Comparisons of all annotators that are groups of one run, or of the people, with the one that stands for all."""
    from pluralism.discretion import between_groups

    families: dict[str, list[str]] = {}
    for annotator in audit.annotators:
        if annotator.share is not None and ":" in annotator.name:
            families.setdefault(_family(annotator.name), []).append(annotator.name)
    whole = [name for name in audit.names if not any(name in members for members in families.values())]
    if pooled is not None and pooled not in whole:
        raise UsageError(
            f"{pooled!r} is no annotator that stands for all.",
            where="--pooled",
            fix=f"Name one of {', '.join(whole)}." if whole else "Add one with --annotator.",
        )
    first = next((name for name in whole if name != PEOPLE), None)
    return [between_groups(audit, members, pooled=pooled or first) for members in families.values() if len(members) > 1]


def _family(name: str) -> str:
    """Whose group this is; names of groups of people may hold a colon, those of a run are numbers."""
    return PEOPLE if name.startswith(f"{PEOPLE}:") else name.rpartition(":")[0]


def _run_of(name: str) -> tuple[Path, Any]:
    path, colon, part = name.rpartition(":")
    if colon and part in PARTS and path:
        return Path(path), part
    if not Path(name).exists():
        raise UsageError(
            f"There is no annotator {name!r}.",
            where="--annotator",
            fix="Use human, human:groups, judge, judge:MODEL, likelihood, reward:MODEL, or the folder of a run.",
        )
    return Path(name), "all"


def _for_run(
    path: Path, comparisons: Comparisons, data: Path, reading: Reading, encoding: Encoding, progress: Share
) -> tuple[Comparisons, Any]:
    from pluralism.cli.loading import RunData
    from pluralism.cli.run_directory import load_run

    loaded = load_run(path)
    source = RunData(loaded, reading, encoding)
    if source.reading.votes:
        raise UsageError(
            "This run predicts votes against a threshold, and no preferences between two items.",
            where=str(path),
            fix="Audit a run of another recipe, such as bt or maxmin.",
        )
    return source.embed(comparisons, data, progress), loaded.model


def _likelihood(judge: Judge, comparisons: Comparisons, verdicts: Callable[..., Verdicts]) -> Verdicts:
    if judge.who.local is None:
        raise UsageError(
            "Likelihoods of responses are known of local models alone.", where="--annotator", fix="Add --local MODEL."
        )
    return verdicts(comparisons, judge.plain(), name="likelihood")
