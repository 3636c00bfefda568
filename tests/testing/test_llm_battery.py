"""The battery of language models passes sound ones and catches broken ones."""

from __future__ import annotations

import json

import pytest
from language_models import colourful

from pluralism.errors import UsageError
from pluralism.llm import Reply, ScriptedChat, Usage
from pluralism.testing import ChecksFailedError, check_llm, llm_checks

N_CHECKS = 17


def failed(model, **options):
    return {result.name for result in check_llm(model, **options) if result.status == "failed"}


def test_a_sound_model_passes_all_checks():
    results = check_llm(ScriptedChat(colourful))
    assert len(results) == len(llm_checks()) == N_CHECKS
    assert {result.name for result in results if result.status == "skipped"} == {
        "order_of_options_does_not_matter",
        "a_seed_decides",
    }
    assert [str(result) for result in results if result.status == "failed"] == []


def test_a_model_that_cannot_follow_schemas_says_so():
    statuses = {result.name: result.status for result in check_llm(ScriptedChat(lambda request: "Green."))}
    assert statuses["schemas_are_followed_or_not"] == statuses["choices_are_distributions"] == "skipped"
    assert "failed" not in statuses.values()


class Talkative(ScriptedChat):
    def complete(self, request):
        from dataclasses import replace

        return super().complete(replace(request, max_tokens=None))


class Uncounted(ScriptedChat):
    def _count(self, usage):
        super()._count(Usage())


class Timeless(ScriptedChat):
    def complete(self, request):
        from dataclasses import replace

        from pluralism.llm.deadline import Deadline

        return super().complete(replace(request, deadline=Deadline(60, "it")))


class Showing(ScriptedChat):
    def __repr__(self):
        return f"Showing({[request.messages for request in self.requests[-1:]]}, {self._last()})"

    def _last(self):
        return self.requests[-1].messages[-1].content if self.requests else ""


class Random(ScriptedChat):
    deterministic = True

    def complete(self, request):
        completion = super().complete(request)
        object.__setattr__(completion, "text", f"{len(self.requests)} {completion.text}")
        return completion


class Emptied(ScriptedChat):
    def pieces(self, request):
        for piece in super().pieces(request):
            yield piece.upper() if isinstance(piece, str) else piece


@pytest.mark.parametrize(
    ("kind", "caught"),
    [
        (Talkative, {"limits_are_heeded"}),
        (Uncounted, {"usage_is_counted", "threads_do_not_mix"}),
        (Timeless, {"deadlines_are_kept"}),
        (Showing, {"what_is_said_stays_hidden"}),
        (Random, {"a_seed_decides"}),
        (Emptied, {"streams_come_in_pieces"}),
    ],
)
def test_broken_models_are_caught(kind, caught):
    assert failed(kind(colourful)) == caught


def test_failures_are_raised_together_and_unknown_checks_refused():
    with pytest.raises(ChecksFailedError, match="fails 1 of 2 checks"):
        check_llm(Talkative(colourful), checks=["limits_are_heeded", "replies_are_texts"], raise_on_failure=True)
    with pytest.raises(UsageError, match="no check 'it_sings'"):
        check_llm(ScriptedChat(colourful), checks=["it_sings"])


def test_results_of_a_reply_are_json():
    reply = ScriptedChat(colourful).chat([{"role": "user", "content": "Hi"}])
    assert isinstance(reply, Reply) and json.loads(reply.to_json())["finish"] == "stop"
