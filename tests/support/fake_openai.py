"""A server on this machine that speaks the OpenAI protocol (embeddings and chat), well or badly, as it is told."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from pluralism.embeddings import HashingEncoder


@dataclass(frozen=True)
class Say:
    """One answer of the chat route.

    `calls` are (tool, arguments as text); `first` maps first tokens to probabilities; `cut` breaks a stream off after
    so many pieces, with or without an end of the connection; `raw` is sent in place of the JSON.
    """

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str | None = "stop"
    refusal: str | None = None
    first: dict[str, float] = field(default_factory=dict)
    blank_first: bool = False
    delay: float = 0.0
    cut: int | None = None
    raw: bytes | None = None
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 3})


class _Server(ThreadingHTTPServer):
    """A server that says nothing about clients that hang up."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class FakeOpenAI:
    """Answers embeddings with hashing vectors, and chats with `reply`; `script` holds what to do with the next ones.

    A step is a status code, a (status, headers) or (status, headers, message) tuple, ``"drop"`` (close the
    connection), a text or a `Say`, or a function: of the answered entries for embeddings, of the request's body for
    chats. `lacks` names parameters that are refused, `ignores` those that are passed over.
    """

    def __init__(self):
        self.script, self.requests, self.times, self.headers = [], [], [], []
        self.dim = 8
        self.reply = lambda body: instance(schema_of(body)) if schema_of(body) else f"You said: {said(body)}"
        self.lacks, self.ignores = set(), set()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.answer(self, body)

            def log_message(self, *arguments):
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
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
            status, headers, message = step if isinstance(step, tuple) and len(step) == 3 else (step, {}, "")
            if isinstance(status, tuple):
                status, headers = status
            error = {"message": message or f"scripted {status}", "type": "test"}
            self._send(handler, status, {"error": error}, headers)
            return
        if handler.path.endswith("/embeddings"):
            self._embed(handler, body, step)
        else:
            self._chat(handler, body, step)

    def _embed(self, handler, body, step):
        vectors = HashingEncoder(body.get("dimensions", self.dim)).encode(body["input"])
        entries = [
            {"object": "embedding", "index": i, "embedding": self._encode(v, body)} for i, v in enumerate(vectors)
        ]
        if callable(step):
            entries = step(entries)
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        self._send(handler, 200, {"object": "list", "data": entries, "model": body["model"], "usage": usage}, {})

    def _chat(self, handler, body, step):
        for name in self.lacks:
            if name in body:
                other = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
                error = {"message": f"Unsupported parameter: '{name}'.{other}", "type": "invalid_request_error"}
                self._send(handler, 400, {"error": error | {"param": name}}, {})
                return
        say = self.reply if step is None else step
        say = say(body) if callable(say) else say
        say = Say(say) if isinstance(say, str) else say
        time.sleep(say.delay)
        if body.get("stream"):
            self._stream(handler, body, say)
            return
        if say.raw is not None:
            self._send_raw(handler, 200, say.raw, {})
            return
        message = {"role": "assistant", "content": say.text or None, "refusal": say.refusal}
        if say.calls:
            message["tool_calls"] = [
                {"id": f"call_{k}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for k, (name, arguments) in enumerate(say.calls)
            ]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if say.calls else say.finish}
        if body.get("logprobs") and "logprobs" not in self.ignores:
            choice["logprobs"] = {"content": logprobs(say, body["top_logprobs"])}
        document = {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": f"{body['model']}-0",
            "usage": say.usage,
        }
        self._send(handler, 200, document | {"choices": [choice]}, {})

    def _stream(self, handler, body, say):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        words = [word + " " for word in say.text.split(" ")]
        words[-1] = words[-1][:-1]
        base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": f"{body['model']}-0"}

        def send(text):
            handler.wfile.write(f"data: {text}\n\n".encode())
            handler.wfile.flush()

        for k, word in enumerate(words):
            if say.cut == k:
                return
            delta = {"role": "assistant", "content": word}
            send(json.dumps(base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
            time.sleep(say.delay)
        if say.raw is not None:
            send(say.raw.decode())
        delta = {"refusal": say.refusal} if say.refusal else {}
        send(json.dumps(base | {"choices": [{"index": 0, "delta": delta, "finish_reason": say.finish}]}))
        if body.get("stream_options", {}).get("include_usage"):
            send(json.dumps(base | {"choices": [], "usage": say.usage}))
        send("[DONE]")

    @staticmethod
    def _encode(vector, body):
        if body.get("encoding_format") == "base64":
            return base64.b64encode(vector.astype(np.float32).tobytes()).decode()
        return vector.astype(float).tolist()

    @classmethod
    def _send(cls, handler, status, document, headers):
        cls._send_raw(handler, status, json.dumps(document).encode(), headers)

    @staticmethod
    def _send_raw(handler, status, raw, headers):
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


def said(body):
    """The last thing that the user says."""
    return [message["content"] for message in body["messages"] if message["role"] == "user"][-1]


def schema_of(body):
    """The schema that the answer has to follow, or None."""
    return body.get("response_format", {}).get("json_schema", {}).get("schema")


def logprobs(say, most):
    """Log-probabilities as the protocol has them, the likeliest first, after a blank token where that is asked for."""

    def position(token, tops):
        found = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in tops]
        return {"token": token, "logprob": math.log(dict(tops)[token]), "bytes": None, "top_logprobs": found}

    tops = sorted(say.first.items(), key=lambda pair: -pair[1])[:most]
    blank = [position(" ", [(" ", 0.99)])] if say.blank_first else []
    return [*blank, position(tops[0][0], tops)] if tops else blank


def instance(schema):
    """A small JSON text that follows a schema."""

    def make(node):
        if "$ref" in node:
            return make(schema["$defs"][node["$ref"].rpartition("/")[2]])
        for choice in ("anyOf", "oneOf"):
            if choice in node:
                return make(node[choice][0])
        if "enum" in node or "const" in node:
            return node["enum"][0] if "enum" in node else node["const"]
        kind = node.get("type")
        if kind == "object":
            return {name: make(member) for name, member in node.get("properties", {}).items()}
        if kind == "array":
            return [make(node["items"]) for _ in range(max(1, node.get("minItems", 1)))]
        return {"string": "words", "integer": node.get("minimum", 1), "number": 0.5, "boolean": True}.get(kind)

    return json.dumps(make(schema))


def quick_retries(monkeypatch):
    """Wait hundredths of a second between tries, where the waits themselves are not what is tested."""
    import openai._base_client

    from pluralism.llm import openai_chat

    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(openai_chat, "_FIRST_WAIT", 0.01)
