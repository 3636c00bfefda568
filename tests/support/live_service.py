"""The service behind a real server on this machine, and somebody who fills in its forms."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from pluralism.elicitation.interview import read_case, read_protocol
from pluralism.elicitation.web.app import create_app
from pluralism.elicitation.web.bots.browser import Browser
from pluralism.elicitation.web.settings import Settings

WORDS = [
    "My nephew was crying behind the sofa, and I sat down beside him.",
    "MOMENTS when a child is ready to talk\nSIGNS that a worry is hidden\nCHANCES to be beside somebody",
    "All of them, always.",
    "People come to trust that they will be heard.",
    "To listen before anything is said.",
    "Waiting beside the storm",
]
"""Answers to the six questions of the script."""


class LiveService:
    """A served application: `url`, its `service` and `app`."""

    def __init__(self, app):
        self.app, self.service, self._visitors = app, app.state.service, []
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")

    def study(self, title="Children", **options):
        """An open study."""
        made = self.service.studies.create(
            title=title, protocol=read_protocol("moral-graph"), case=read_case("unruly-child"), by="test", **options
        )
        return self.service.studies.change(made.id, by="test", status="open")

    def link(self, study_id, role="participant", **options):
        """The address of a new link."""
        token = self.service.links.create(study_id=study_id, role=role, by="test", **options).token
        return f"{self.url}/{'join' if role == 'participant' else 'organise/enter'}/{token}"

    def visitor(self):
        """Somebody with a browser of their own."""
        self._visitors.append(Visitor(self.url))
        return self._visitors[-1]

    def stop(self):
        """Stop the server."""
        for visitor in self._visitors:
            visitor.close()
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


@contextmanager
def quick_folder():
    """An empty folder, in memory where there is one: what is tested commits often, and waits for the disk each time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        yield Path(name)


@contextmanager
def live_service(address, *, interviewer=None, **settings):
    """A service on a database, until the end of the block."""
    app = create_app(Settings(database=str(address), **settings), interviewer=interviewer)
    live = LiveService(app)
    try:
        yield live
    finally:
        live.stop()


class Visitor(Browser):
    """Fills in forms; `page` is the text of the last page, `status` its status."""

    def go(self, path):
        """Open a page, and follow where it leads."""
        return self._follow(self.get(path.removeprefix(self.root)))

    @property
    def root(self):
        """The address without a path."""
        return re.match(r"https?://[^/]+", self.address)[0]

    def fill(self, action, **given):
        """Send the form with an action, its hidden fields included; a list is sent as several fields."""
        form = self.answer.page().form(action)
        assert form is not None, (action, [one.action for one in self.answer.page().forms], self.text[-600:])
        fields = [(name, value) for name, value in form.hidden.items() if name not in given]
        for name, value in given.items():
            fields += [(name, one) for one in value] if isinstance(value, list) else [(name, str(value))]
        return self._follow(self.post(action or self.path, fields))

    def _follow(self, answer):
        while answer.status in (303, 307):
            self.path = answer.location.removeprefix(self.root)
            answer = self.get(self.path)
        self.answer, self.status, self.page = answer, answer.status, answer.body.decode(errors="replace")
        return self

    def get(self, path):
        """Ask for a page."""
        self.path = path
        return super().get(path)

    @property
    def text(self):
        """The last page without its markup."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.page).split())

    @property
    def actions(self):
        """Where its forms lead."""
        return [form.action for form in self.answer.page().forms]

    # Whole parts of a session.

    def join(self, link, language="en"):
        """Begin, and open the interview; the participant's own link."""
        self.go(link)
        self.fill("", language=language)
        way_back = self.answer.page().inputs["way-back"]
        self.go("/interview")
        return way_back

    def talk(self, until="/interview/vote"):
        """Go on until a form with an action is there."""
        said = iter(WORDS)
        for _ in range(40):
            if until in self.actions:
                return self
            self.step(said)
        raise AssertionError(until)

    def step(self, said):
        """Fill in whatever is due."""
        form = self.answer.page()
        if form.form("/interview/consent"):
            self.fill("/interview/consent", scopes=["card", "chat", "research"])
        elif form.form("/interview/context"):
            self.fill("/interview/context", context=form.form("/interview/context").choices["context"][0])
        elif form.form("/interview/answer"):
            self.fill("/interview/answer", text=next(said))
        elif form.form("/interview/confirm"):
            self.fill("/interview/confirm")
        elif form.form("/interview/duplicate"):
            self.fill("/interview/duplicate", verdict="different")
        elif form.form("/interview/vote"):
            self.fill("/interview/vote", answer="upgrade", comment="It sees more.")
        elif form.form("/interview/survey"):
            scales = form.form("/interview/survey").choices
            self.fill("/interview/survey", **dict.fromkeys(scales, "4"))
        else:
            raise AssertionError(self.text[-400:])

    def finish(self):
        """Go on until nothing is left to do."""
        said = iter(WORDS)
        while any(action.startswith("/interview") for action in self.actions):
            self.step(said)
        return self

    def enter(self, link):
        """Come in as an organiser."""
        self.go(link)
        return self.fill("")
