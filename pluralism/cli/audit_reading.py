"""What an audit reads: the verdicts of the principles, and of the annotators that were named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.named_model import NamedModel
    from pluralism.cli.reading import Reading
    from pluralism.data import Comparisons
    from pluralism.discretion import (
        BetweenGroups,
        DiscretionAudit,
        PrinciplePreferences,
        PrincipleSet,
        Verdicts,
    )
    from pluralism.llm import ChatModel, RecordedChat

__all__ = ["Judge", "groups_of", "read_annotators", "read_oracle"]

PARTS = ("groups", "users")
PEOPLE = "human"
RECORD = "judge.jsonl"
Share = Callable[[int, int], None]


class Judge(AbstractContextManager["Judge"]):
    """The language model that was named, if any; it is loaded when it is first asked.

    Parameters
    ----------
    named : NamedModel
    record, out : Path, optional
        Where its answers are kept.
    limits : mapping
        `price`, `most_cost`, `most_calls`.
    asking : mapping
        Keywords of `judge_preferences`.

    Raises
    ------
    UsageError
        If a limit cannot be.
    """

    def __init__(
        self,
        named: NamedModel,
        record: Path | None,
        out: Path | None,
        limits: Mapping[str, Any],
        asking: Mapping[str, Any],
    ) -> None:
        self.who = named
        self.record = out / RECORD if record is None and out is not None else record
        self.asking = dict(asking)
        self.limits = _limits(limits)
        if (self.limits.get("most_cost") is not None or self.limits.get("most_calls") is not None) and (
            self.record is None
        ):
            raise UsageError(
                "What was spent is counted in a record of the answers, and there is none.",
                where="--most-cost, --most-calls",
                fix="Add --record FILE.jsonl, or --out DIR.",
            )
        self._plain: ChatModel | None = None
        self._recorded: RecordedChat | None = None

    def __exit__(self, *_: object) -> None:
        if self._plain is not None:
            self._plain.close()

    @property
    def plain(self) -> ChatModel:
        """The model itself."""
        if self._plain is None:
            self._plain = self.who.open()
        if self._plain is None:
            raise UsageError(
                "Nobody is named who could judge.", fix="Add --llm URL --llm-model NAME, or --local MODEL."
            )
        return self._plain

    @property
    def model(self) -> ChatModel:
        """The model, with its answers kept where there is a record."""
        if self.record is None:
            return self.plain
        if self._recorded is None:
            from pluralism.llm import RecordedChat

            self.record.parent.mkdir(parents=True, exist_ok=True)
            self._recorded = RecordedChat(self.plain, self.record, **self.limits)
        return self._recorded

    def spent(self) -> dict[str, Any] | None:
        """Calls, tokens and cost of all runs with this record; None without a judge."""
        if self._plain is None:
            return None
        usage = self._plain.usage if self._recorded is None else self._recorded.recorded
        priced = self._recorded is not None and self._recorded.prices is not None
        cost = self._recorded.cost if self._recorded is not None and priced else None
        return {"name": self._plain.name, "calls": usage.calls, "tokens": usage.tokens, "cost": cost}


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
    return judge_preferences(comparisons, principles, judge.model, progress=progress, **judge.asking)


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
        elif name == "judge":
            found.append(judge_verdicts(comparisons, judge.model, progress=progress, **judge.asking))
        elif name == "likelihood":
            found.append(_likelihood(judge, comparisons, likelihood_verdicts))
        elif name.startswith("reward:"):
            model = name.removeprefix("reward:")
            found.append(reward_verdicts(comparisons, SequenceReward(model), name=Path(model).name))
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


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    price = given["price"]
    prices = None
    if price is not None:
        try:
            read, written = (float(part) for part in price.split(","))
            prices = (read, written)
        except ValueError:
            prices = (-1.0, -1.0)
        if not all(math.isfinite(value) and value >= 0 for value in prices):
            raise UsageError(f"{price!r} is no pair of prices.", where="--price", fix="Write such as --price 0.5,1.5.")
    if given["most_cost"] is not None and prices is None:
        raise UsageError("A cost needs prices.", where="--most-cost", fix="Add --price READ,WRITTEN.")
    return {"prices": prices, "most_cost": given["most_cost"], "most_calls": given["most_calls"]}


def _run_of(name: str) -> tuple[Path, Any]:
    path, colon, part = name.rpartition(":")
    if colon and part in PARTS and path:
        return Path(path), part
    if not Path(name).exists():
        raise UsageError(
            f"There is no annotator {name!r}.",
            where="--annotator",
            fix="Use human, human:groups, judge, likelihood, reward:MODEL, or the folder of a run.",
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
    return verdicts(comparisons, judge.plain, name="likelihood")
