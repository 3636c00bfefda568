"""What those meet who hear a page: headings in order, and controls that say what they are for."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from live_service import live_service, quick_folder

PAGES = "links people cards merges hypotheses graph differences answers exports proof log settings".split()


class Heard(HTMLParser):
    """Levels of headings, and names of the buttons, folded parts and links of the main part of a page."""

    def __init__(self, page):
        super().__init__()
        self.levels, self.names, self._within, self._name = [], [], False, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self._within |= tag == "main"
        if tag in ("h1", "h2", "h3", "h4"):
            self.levels.append(int(tag[1]))
        if self._within and tag in ("button", "summary"):
            self._name = [dict(attrs).get("aria-label"), ""]

    def handle_data(self, data):
        if self._name is not None:
            self._name[1] += data

    def handle_endtag(self, tag):
        self._within &= tag != "main"
        if tag in ("button", "summary") and self._name is not None:
            label, text = self._name
            # whoever speaks to a page says what is written on it
            assert label is None or label.startswith(text.strip()), self._name
            self.names.append((tag, label or text.strip()))
            self._name = None


@pytest.fixture(scope="module")
def pages():
    """The pages of a study with two people, two merged cards and some links, by name."""
    with quick_folder() as folder, live_service(folder / "x.db", rate=100.0) as live:
        study = live.study()
        for k in range(2):
            somebody = live.visitor()
            somebody.join(live.link(study.id, label="a room"))
            somebody.talk("/interview/confirm")
            policies = f"MOMENTS when somebody is ready to talk {k}"
            somebody.fill("/interview/card", title=f"Card {k}", description="x", policies=policies, then="confirm")
            somebody.finish()
        where = f"/organise/studies/{study.id}"
        admin = live.visitor().enter(live.link(None, "admin"))
        cards = [row.id for row in live.service.moderation.cards(study.id) if row.participant_id]
        admin.go(f"{where}/merges").fill(f"{where}/merges", source=cards[0], into=cards[1])
        assert admin.status == 200
        found = {name: admin.go(f"{where}/{name}").page for name in PAGES}
        found |= {"overview": admin.go(where).page, "new": admin.go("/organise/new").page}
        found |= {"interview": somebody.go("/interview").page, "shown": somebody.go("/interview/graph").page}
        yield found


def test_headings_go_down_one_level_at_a_time(pages):
    for name, page in pages.items():
        levels = Heard(page).levels
        assert levels[0] == 1 and levels.count(1) == 1, name
        assert all(after <= before + 1 for before, after in pairwise(levels)), (name, levels)


def test_no_two_controls_of_a_page_have_one_name(pages):
    for name, page in pages.items():
        twice = [control for control, n in Counter(Heard(page).names).items() if n > 1]
        assert twice == [], name
    assert sum(n.startswith("Hide") for _, n in Heard(pages["cards"]).names) > 4
    assert len(Heard(pages["people"]).names) >= 6 and len(Heard(pages["links"]).names) >= 3
