"""Whatever people and moderators do, and in whatever order: what the tables hold follows from what happened."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import select
from web_studies import join

from pluralism.elicitation.web import tables
from pluralism.errors import InterviewError


class RandomStudy:
    """A study in which something happens at random, and what should be there after it."""

    def __init__(self, service, study, seed):
        self.service, self.study, self.rng = service, study, random.Random(seed)
        self.people, self.deleted, self.hidden, self.excluded = [], set(), set(), set()
        self.heads = [service.audit.head(study.id)]

    def happen(self):
        """One thing."""
        moves = {
            self.joins: 2,
            self.steps: 30,
            self.votes_again: 3,
            self.leaves_and_returns: 2,
            self.is_deleted: 1,
            self.is_moderated: 2,
            self.is_merged: 1,
        }
        (move,) = self.rng.choices(list(moves), weights=list(moves.values()))
        move()

    def somebody(self):
        there = [name for name in self.people if name not in self.deleted]
        return self.rng.choice(there) if there else None

    def joins(self):
        if len(self.people) < 8:
            self.people.append(join(self.service, self.study, language=self.rng.choice(["en", "de"])).id)

    def steps(self):
        name = self.somebody()
        if name is None:
            return
        interview = self.service.people.interview(name)
        state = interview.advance()
        match state.awaits:
            case "consent":
                interview.consent(("card", "chat"))
            case "context":
                interview.choose_context(self.rng.choice(self.study.case.contexts).id)
            case "answer":
                interview.answer(f"words of {name}")
            case "card":
                title, version = f"Value of {name[:8]}", len(state.drafts)
                if state.draft.title == title:
                    interview.confirm_card(version=version)
                else:
                    interview.edit_card(title, "", [f"MOMENTS that {name[:8]} likes"], version=version)
            case "duplicate":
                verdict = self.rng.choice(["same", "different", "not_sure"])
                interview.judge_duplicate(state.next_proposal.card_id, verdict)
            case "vote":
                answer = self.rng.choice(["upgrade", "no_upgrade", "not_sure"])
                interview.vote(state.next_item, answer, comment=self.rng.choice(["", f"said {name}"]))
            case "survey":
                interview.answer_survey({"represented": 3, "clarified": 3, "respect": 3, "remarks": f"by {name}"})
            case "return":
                interview.resume()

    def votes_again(self):
        name = self.somebody()
        if name is not None:
            interview = self.service.people.interview(name)
            if interview.state.stage == "exit_survey" and interview.state.halted is None:
                interview.vote(self.rng.randrange(len(interview.state.ballot)), "not_sure")

    def leaves_and_returns(self):
        name = self.somebody()
        if name is not None:
            try:
                self.service.people.interview(name).pause()
            except InterviewError:
                pass

    def is_deleted(self):
        name = self.somebody()
        if name is not None and self.rng.random() < 0.5:
            self.service.people.delete(name, by=name)
            self.deleted.add(name)

    def is_moderated(self):
        cards = self.service.moderation.cards(self.study.id)
        card, name, moderation = self.rng.choice(cards), self.somebody(), self.service.moderation
        if name is None or self.rng.random() < 0.5:
            act = moderation.restore_card if card.hidden else moderation.hide_card
            act(self.study.id, card.id, reason="By chance.", by="anna")
        else:
            act = moderation.readmit if self.service.people.get(name).excluded else moderation.exclude
            act(name, reason="By chance.", by="anna")

    def is_merged(self):
        merges = self.service.merges
        active = [merge for merge in merges.of_study(self.study.id) if merge.active]
        cards = [row.id for row in self.service.moderation.cards(self.study.id) if not row.hidden]
        if active and self.rng.random() < 0.5:
            merges.undo(self.study.id, self.rng.choice(active).number, by="anna")
        elif len(cards) > 1:
            merges.make(self.study.id, *self.rng.sample(cards, 2), by="anna")

    def check(self):
        """Votes, counts and the graph follow from the events; nothing deleted is left; the chains hold."""
        states = {name: self.service.people.interview(name).state for name in self.people}
        interviews = {name: self.service.people.interview(name) for name in self.people}
        expected = sorted(
            (name, event.seq, event.body.answer)
            for name, interview in interviews.items()
            for event in interview.events
            if event.kind == "voted"
        )
        with self.service.database.read() as connection:
            rows = connection.execute(select(tables.votes).order_by(tables.votes.c.number)).all()
            written = str(connection.execute(select(tables.events.c.payload)).all())
            written += str(connection.execute(select(tables.cards.c.document)).all())
            written += str(connection.execute(select(tables.hypotheses.c.story)).all())
            written += str(connection.execute(select(tables.derived.c.document)).all())
        cast = [(row.participant_id, row.seq, row.answer) for row in rows if row.participant_id is not None]
        assert sorted(cast) == expected
        assert all(name[:8] not in written for name in self.deleted)

        counts = self.service.studies.counts(self.study.id)
        phases = [state.phase for name, state in states.items() if name not in self.deleted]
        assert counts.by_phase == {phase: phases.count(phase) for phase in phases}
        assert (counts.votes, counts.deleted) == (len(expected), len(self.deleted))

        stored = self.service.graphs.get(self.study.id, fresh=True)
        people = {name: self.service.people.get(name) for name in self.people}
        shown = {row.id for row in self.service.moderation.cards(self.study.id) if not row.hidden}
        counted = [
            row
            for row in rows
            if row.participant_id is not None
            and people[row.participant_id].phase == "done"
            and not people[row.participant_id].excluded
            and {row.source_id, row.wiser_id} <= shown
        ]
        assert set(stored.graph.cards) == shown
        found = stored.graph.votes.to_frame().select(["participant", "source", "wiser", "answer"]).to_pylist()
        assert found == [
            {"participant": row.participant_id, "source": row.source_id, "wiser": row.wiser_id, "answer": row.answer}
            for row in counted
        ]
        for head in self.heads:
            audit = self.service.audit.verify(self.study.id, votes_head=head.votes, entries_head=head.entries)
            assert audit.ok, audit.to_dict()
        self.heads = [*self.heads[-2:], self.service.audit.head(self.study.id)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_what_the_tables_hold_follows_from_what_happened(service, study, seed) -> None:
    random_study = RandomStudy(service, study, seed)
    for _ in range(6):
        for _ in range(40):
            random_study.happen()
        random_study.check()
    assert service.studies.counts(study.id).votes > 0
