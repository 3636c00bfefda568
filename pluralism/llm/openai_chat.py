"""Chat with any server that speaks the OpenAI protocol: OpenAI, vLLM, llama.cpp, Ollama, a gateway."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from pluralism.errors import LanguageModelError, UsageError
from pluralism.extras import require
from pluralism.llm.background_loop import BackgroundLoop
from pluralism.llm.chat_model import ChatModel, Weights
from pluralism.llm.openai_errors import explain, place_of
from pluralism.llm.openai_wire import Malformed, StreamReader, body_of, completion_of, first_tokens, lacking, usage_in
from pluralism.llm.options import Options
from pluralism.llm.request import Completion, Request

__all__ = ["OpenAIChat"]

_NO_KEY = "none"
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0


class OpenAIChat(ChatModel):
    """A model behind the ``/chat/completions`` route.

    The official SDK tries again what fails for a passing reason (429, 408, 409, 5xx, a broken connection), with
    exponential back-off or after the time in ``Retry-After``; answers that are no JSON, and streams that break before
    their first piece, are tried again here. Parameters that a server does not know are done without where that
    changes nothing for the caller: a schema is then explained in words, ``max_tokens`` sent under its newer name.

    Close connections with `close`, or use the model in a ``with`` block. Neither the key nor anything that was said
    is logged or shown: the SDK's records for debugging are switched off.

    Parameters
    ----------
    model : str
        Name of the model on the server.
    base_url : str, optional
        Where the server is, up to ``/v1``. Default: ``OPENAI_BASE_URL`` or OpenAI's.
    api_key_env : str
        Environment variable that holds the key. A server of your own may need none.
    max_retries : int
        How often a failed request is sent again.
    timeout : float
        Seconds that one call may take, tries and repairs included.

    Attributes
    ----------
    place : str
        Host and path of the server, without anything secret.

    Examples
    --------
    >>> OpenAIChat("qwen3-8b", base_url="http://localhost:8000/v1")
    OpenAIChat('qwen3-8b', at localhost:8000/v1)
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        max_retries: int = 4,
        timeout: float = 120.0,
    ) -> None:
        super().__init__(f"openai:{model}", timeout=timeout)
        if max_retries < 0:
            raise UsageError(f"max_retries is {max_retries}.", fix="Use 0 or more.")
        self.model = model
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self.api_key_env = api_key_env
        self.max_retries = max_retries
        self.place = place_of(self.base_url)
        if self.base_url is not None and "@" in urlsplit(self.base_url).netloc:
            # Libraries below write addresses into their logs.
            raise UsageError("base_url holds a user or a password.", fix=f"Put the key into {api_key_env}.")
        self._lacks: frozenset[str] = frozenset() if self.base_url else frozenset({"max_tokens"})
        self._connecting = threading.Lock()
        self._connection: tuple[BackgroundLoop, Any] | None = None

    def __repr__(self) -> str:
        return f"OpenAIChat({self.model!r}, at {self.place})"

    def complete(self, request: Request) -> Completion:
        """One answer."""
        loop, client = self._connect()
        return loop.run(self._complete(client, request), request.deadline)

    def pieces(self, request: Request) -> Iterator[str | Completion]:
        """One answer as it is written."""
        loop, client = self._connect()
        return loop.iterate(self._stream(client, request), request.deadline)

    def weigh(self, request: Request, options: Options) -> Weights | None:
        """Probabilities of the options among the likeliest first tokens."""
        loop, client = self._connect()
        return loop.run(self._weigh(client, request, options), request.deadline)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._connecting:
            connection, self._connection = self._connection, None
        if connection is not None:
            loop, client = connection
            loop.finish(client.close())
            loop.close()

    async def _complete(self, client: Any, request: Request) -> Completion:
        for attempt in itertools.count():
            try:
                return completion_of(await self._send(client, request), self.model)
            except Malformed as cause:
                problem = f"sent something that is no answer: {cause}"
            await self._wait(attempt, problem)
        raise self._broken("did not answer")

    async def _stream(self, client: Any, request: Request) -> AsyncIterator[str | Completion]:
        import openai

        for attempt in itertools.count():
            reader, shown = StreamReader(self.model), False
            try:
                stream = await self._send(client, request, stream=True)
                async with stream:
                    async for chunk in stream:
                        text = reader.read(chunk)
                        if text:
                            shown = True
                            yield text
                yield reader.completion()
                return
            except (openai.APIError, Malformed, ValueError) as cause:
                status = isinstance(cause, openai.APIError) and not isinstance(cause, openai.APIConnectionError)
                problem = self._explain(cause, request) if status else None
                if problem is not None or shown:
                    raise problem or self._broken("broke off in the middle of an answer") from None
            await self._wait(attempt, "broke off before an answer")

    async def _weigh(self, client: Any, request: Request, options: Options) -> Weights | None:
        if "logprobs" in self._lacks:
            return None
        try:
            answer = await self._send(client, request, weigh=True)
            if answer is None:
                return None
            tokens, usage = first_tokens(answer), usage_in(answer)
        except (Malformed, KeyError, TypeError, ValueError):
            raise self._broken("sent token probabilities that cannot be read") from None
        if tokens is None:
            self._lacks |= {"logprobs"}
            return Weights(np.full(len(options.labels), -np.inf), "logprobs", usage, told=False)
        return Weights(options.weigh_tokens(tokens), "logprobs", usage)

    async def _send(self, client: Any, request: Request, *, stream: bool = False, weigh: bool = False) -> Any:
        """The SDK's answer; None where probabilities are asked for and the server knows none."""
        import openai

        while True:
            body = body_of(request, self.model, lacks=self._lacks, weigh=weigh)
            if stream:
                body |= {"stream": True}
                body |= {} if "stream_options" in self._lacks else {"stream_options": {"include_usage": True}}
            try:
                return await client.chat.completions.create(**body)
            except openai.OpenAIError as cause:
                missing = lacking(cause, body, self._lacks)
                if missing is None:
                    raise self._explain(cause, request) from None
                self._lacks |= {missing}
                if missing == "logprobs":
                    return None
            except ValueError:
                raise Malformed("it is no JSON") from None

    async def _wait(self, attempt: int, problem: str) -> None:
        if attempt == self.max_retries:
            raise self._broken(f"{problem}, {attempt + 1} times")
        await asyncio.sleep(min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT))

    def _connect(self) -> tuple[BackgroundLoop, Any]:
        with self._connecting:
            if self._connection is None:
                openai = require("openai", extra="llm", purpose="An OpenAI-compatible server")
                key = os.environ.get(self.api_key_env)
                if not key and self.base_url is None:
                    raise LanguageModelError(
                        f"No key for {self.place}.",
                        where=f"environment variable {self.api_key_env}",
                        fix=f"export {self.api_key_env}=..., or pass base_url= of a server of your own.",
                    )
                _silence_requests()
                client = openai.AsyncOpenAI(
                    api_key=key or _NO_KEY, base_url=self.base_url, max_retries=self.max_retries, timeout=self.timeout
                )
                self._connection = BackgroundLoop(), client
            return self._connection

    def _explain(self, cause: Any, request: Request) -> LanguageModelError:
        return explain(
            cause,
            LanguageModelError,
            subject=self.model,
            place=self.place,
            key_variable=self.api_key_env,
            retries=self.max_retries,
            hidden=[os.environ.get(self.api_key_env), *(message.content for message in request.messages)],
        )

    def _broken(self, problem: str) -> LanguageModelError:
        return LanguageModelError(
            f"{self.model} at {self.place} {problem}.", fix="Try again; is something between you and the server?"
        )


class _NoRequests(logging.Filter):
    """Drops the SDK's debug records, which held whole requests before its version 3."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record may be written."""
        return record.levelno > logging.DEBUG


def _silence_requests() -> None:
    logger = logging.getLogger("openai._base_client")
    if not any(isinstance(present, _NoRequests) for present in logger.filters):
        logger.addFilter(_NoRequests())
