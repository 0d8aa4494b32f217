"""Request bodies that the handler did not read: they are received before the answer goes out.

If the body has not arrived when the answer goes out, Granian (2.8.7; no upstream issue is known)
closes the connection without telling the client, whose next request on it is lost. A client may
send the body in another packet than the head, and a guard refuses a request without its body.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from litestar.types import Message, Receive, ReceiveMessage, Scope, Send

from service.api.http.content_length import content_length
from service.api.http.problem_types import MAX_BODY_SIZE

# How long the answer waits for a body that nobody needs, in seconds.
TIME_TO_ARRIVE = 0.5

# Methods whose requests have no body, as a rule: they skip all this.
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


class UnreadBody:
    """The body of one request: `receive` and `send` are to be used instead of those given."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._is_expected, length = False, 0
        for name, value in scope["headers"]:
            if name == b"content-length":
                length = content_length(value.decode("latin-1"))
            elif name == b"expect":
                self._is_expected = True
        # Of one that is longer, or whose length is unknown, the answer says that it was not read.
        self._is_unread = 0 < length <= MAX_BODY_SIZE

    async def receive(self) -> ReceiveMessage:
        """Receive the next message, and note the end of the body."""
        message = await self._receive()
        if not message.get("more_body", False):
            self._is_unread = False
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the answer; before its head, receive the rest of the body."""
        if self._is_unread and message["type"] == "http.response.start":
            await self._receive_rest()
            if self._is_unread:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
                self._is_unread = False
        await self._send(message)

    async def _receive_rest(self) -> None:
        """Receive the rest, unless the client waits until it may send it (RFC 9110, 10.1.1)."""
        if self._is_expected:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(TIME_TO_ARRIVE):
                while self._is_unread:
                    await self.receive()
