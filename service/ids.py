"""Identifiers that sort by their time of creation (the layout of a ULID)."""

from __future__ import annotations

import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


_lock = threading.Lock()
_newest = 0


def new_id(prefix: str) -> str:
    """Return ``prefix_`` and 26 characters: 48 bits of milliseconds, then 80 random bits.

    Within a process every id sorts after the one before, also within one millisecond.
    """
    global _newest
    with _lock:
        number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
        _newest = number = max(number, _newest + 1)
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
