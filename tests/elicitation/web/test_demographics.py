"""What participants say about themselves: asked after consent, shown in numbers that tell nobody."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_studies import age, join, play

from pluralism.elicitation.web.demographics import suppressed
from pluralism.errors import InterviewError, NotFoundError, UsageError


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), st.integers(5, 8))
def test_what_is_left_out_cannot_be_computed(counts: list[int], k: int) -> None:
    shown = suppressed(counts, k)
    hidden = [n for n, seen in zip(counts, shown, strict=True) if seen is None]
    assert all(seen is None or seen == n for n, seen in zip(counts, shown, strict=True))
    assert all(seen is None or seen == 0 or seen >= k for seen in shown)
    if hidden and any(n >= k for n in counts):
        # From the total and the counts that are shown, at least two numbers with a sum of k or more are open.
        assert len(hidden) >= 2 or sum(n > 0 for n in counts) == 1
        assert sum(hidden) >= k or all(n is None or n == 0 for n in shown)


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
