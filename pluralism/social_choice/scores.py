"""From scores to an outcome: the best win, equal scores are tied."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pluralism.social_choice.outcome import Outcome, Score, number
from pluralism.social_choice.rule import Log

__all__ = ["named_scores", "outcome_of_scores", "ranking_by_score"]


def ranking_by_score(candidates: Sequence[str], scores: Sequence[Score]) -> tuple[tuple[str, ...], ...]:
    """Tie groups of equal score, highest first, each in the order of the candidates."""
    order = sorted(range(len(candidates)), key=lambda i: (-scores[i], i))
    return tuple(tuple(candidates[i] for i in tie) for _, tie in groupby(order, key=lambda i: scores[i]))


def named_scores(candidates: Sequence[str], scores: Sequence[Score], most: int = 8) -> str:
    """The highest scores with their candidates, as text."""
    order = sorted(range(len(candidates)), key=lambda i: (-scores[i], i))
    shown = ", ".join(f"{candidates[i]} {number(scores[i])}" for i in order[:most])
    return shown + (", ..." if len(order) > most else "")


def outcome_of_scores(
    name: str, candidates: tuple[str, ...], scores: Sequence[Score], log: Log, notes: tuple[str, ...] = ()
) -> Outcome:
    """The outcome in which the highest score wins."""
    ranking = ranking_by_score(candidates, scores)
    winners = ranking[0]
    log(
        f"{winners[0]} has the highest score, {number(max(scores))}, and wins."
        if len(winners) == 1
        else f"{', '.join(winners)} share the highest score, {number(max(scores))}, and are tied."
    )
    return Outcome(name, candidates, winners, tuple(scores), ranking, notes)
