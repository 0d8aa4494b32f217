"""What a Python program needs under libfaketime 0.9.10, the version of Debian 12.

`time.sleep` fails with EINVAL where the monotonic clock is that of the machine
(wolfcw/libfaketime#426, mended in 0.9.11). It can go with Debian 12.
"""

from __future__ import annotations

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep
