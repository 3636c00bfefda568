"""What participants say about themselves: asked after consent, shown in numbers that tell nobody."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_studies import age, join, play

from pluralism.elicitation.web.demographics import suppressed
from pluralism.elicitation.web.survey_counts import scale_counts
from pluralism.errors import InterviewError, NotFoundError, UsageError


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), st.integers(5, 8))
def test_what_is_left_out_cannot_be_computed(counts: list[int], k: int) -> None:
    shown = suppressed(counts, k)
    hidden = [n for n, seen in zip(counts, shown, strict=True) if seen is None]
    assert all(seen is None or seen == n for n, seen in zip(counts, shown, strict=True))
    assert all(seen is None or seen == 0 or seen >= k for seen in shown)
    if hidden:
        # From the total and the counts that are shown, at least two numbers with a sum of k or more are open, or all.
        assert len(hidden) >= 2
        assert sum(hidden) >= k or len(hidden) == len(counts)


def test_zeros_that_would_tell_the_rest_are_left_out_too() -> None:
    assert suppressed([3, 0, 0], 5) == suppressed([2, 1, 0], 5) == [None] * 3
    assert suppressed([0, 9, 2, 12], 5) == [0, None, None, 12]
    assert suppressed([0, 0, 0], 5) == [0, 0, 0]


@given(st.lists(st.integers(1, 5), max_size=40))
def test_a_scale_shows_all_of_its_counts_or_none(answers: list[int]) -> None:
    counts, mean = scale_counts(answers)
    true = [answers.count(point) for point in range(1, 6)]
    assert counts == (true if all(n == 0 or n >= 5 for n in true) else [None] * 5)
    assert (mean is None) == (len(answers) < 5)
    assert mean is None or mean == pytest.approx(sum(p * n for p, n in enumerate(true, 1)) / len(answers))


@given(st.lists(st.integers(0, 30), min_size=2, max_size=5))
def test_the_order_of_the_options_does_not_matter(counts: list[int]) -> None:
    def as_bag(order):
        return sorted((n, seen is None) for n, seen in zip(order, suppressed(list(order), 5), strict=True))

    distinct = [n + 100 * place if n >= 5 else n for place, n in enumerate(counts)]
    assert len({str(as_bag(order)) for order in itertools.permutations(distinct)}) == 1


def test_answers_are_given_after_consent_and_replaced(service, study) -> None:
    service.studies.change(study.id, by="organiser", demographics=(age(),))
    participant = join(service, study)
    with pytest.raises(InterviewError, match="consent"):
        service.demographics.answer(participant.id, {"age": "old"})
    play(service, participant.id, until="context")
    service.demographics.answer(participant.id, {"age": "old"})
    service.demographics.answer(participant.id, {"age": "young"})
    assert service.demographics.get(participant.id) == {"age": "young"}
    for answers in ({"age": "middle"}, {"income": "high"}):
        with pytest.raises(UsageError):
            service.demographics.answer(participant.id, answers)
    assert service.demographics.get(participant.id) == {"age": "young"}
    service.demographics.answer(participant.id, {"age": None})
    assert service.demographics.get(participant.id) == {}
    with pytest.raises(NotFoundError):
        service.demographics.answer("0" * 32, {"age": "old"})
    with pytest.raises(UsageError):
        service.demographics.table(study.id, k=1)
    assert "old" not in str(
        [entry.details for entry in service.audit.entries(study.id) if entry.actor == participant.id]
    )


def test_a_question_in_too_few_languages_is_refused(service, study) -> None:
    english = age().model_copy(update={"text": {"en": "How old are you?"}})
    with pytest.raises(UsageError, match="'de'"):
        service.studies.change(study.id, by="organiser", demographics=(english,))
    with pytest.raises(UsageError):
        service.studies.change(study.id, by="organiser", max_participants=0)
    with pytest.raises(UsageError):
        service.studies.change(study.id, by="organiser", status="asleep")
