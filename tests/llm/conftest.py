"""A server on this machine that speaks the OpenAI embeddings protocol, well or badly, as it is told."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from pluralism.embeddings import HashingEncoder


class FakeOpenAI:
    """Answers with hashing vectors; `script` holds what to do with the next requests.

    A step is a status code, a (status, headers) pair, ``"drop"`` (close the connection), or a function that changes
    the list of answered entries.
    """

    def __init__(self):
        self.script, self.requests, self.times, self.headers = [], [], [], []
        self.dim = 8
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.answer(self, body)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def answer(self, handler, body):
        with self._lock:
            self.requests.append(body)
            self.times.append(time.monotonic())
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            step = self.script.pop(0) if self.script else None
        if step == "drop":
            handler.close_connection = True
            handler.connection.close()
            return
        if isinstance(step, int | tuple):
            status, headers = step if isinstance(step, tuple) else (step, {})
            self._send(handler, status, {"error": {"message": f"scripted {status}", "type": "test"}}, headers)
            return
        vectors = HashingEncoder(body.get("dimensions", self.dim)).encode(body["input"])
        entries = [
            {"object": "embedding", "index": i, "embedding": self._encode(v, body)} for i, v in enumerate(vectors)
        ]
        if callable(step):
            entries = step(entries)
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        self._send(handler, 200, {"object": "list", "data": entries, "model": body["model"], "usage": usage}, {})

    @staticmethod
    def _encode(vector, body):
        if body.get("encoding_format") == "base64":
            return base64.b64encode(vector.astype(np.float32).tobytes()).decode()
        return vector.astype(float).tolist()

    @staticmethod
    def _send(handler, status, document, headers):
        raw = json.dumps(document).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)

    def close(self):
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    """A running server, and no key or server of the user's in the environment."""
    pytest.importorskip("openai", reason="hosted models need the extra: pip install 'pluralism[llm]'")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    fake = FakeOpenAI()
    yield fake
    fake.close()
