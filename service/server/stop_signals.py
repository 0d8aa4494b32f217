"""Signals to stop, before the supervisor handles them and after it has ended."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal to stop arrived. asyncio lets only this base class end a running loop."""


@contextmanager
def stopping_once() -> Iterator[None]:
    """Raise `Stopped` in the body at the first signal to stop; it ends the body, and nothing else.

    Further ones are ignored, afterwards too: neither what the body closes in the end nor the end of
    the interpreter is interrupted by a second Ctrl-C. Signals that were ignored before (``nohup``)
    remain so.
    """
    stopped = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise Stopped

    for each in STOP_SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, stop)
    try:
        yield
    except Stopped:
        return
    finally:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
