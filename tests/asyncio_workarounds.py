"""What works around defects of asyncio."""

from __future__ import annotations

import asyncio


async def stop_accepting(server: asyncio.Server) -> None:
    """Close a server once the connections that it has accepted have their protocols.

    asyncio loses the sockets of those that are on their way to their protocols meanwhile
    (python/cpython#109564, open with Python 3.14): nobody closes them, and the warning of that
    fails a later test. This function can go when that is mended in all versions that we test.
    """
    loop = asyncio.get_running_loop()
    for each in server.sockets:
        loop.remove_reader(each)
    for _ in range(3):
        await asyncio.sleep(0)
    server.close()
