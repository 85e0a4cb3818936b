"""Facts that are found out when first needed, once, and remembered for a while."""

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """What `find` says of a key, for `seconds`. What it raises is not remembered."""

    def __init__(self, find: Callable[[str], T], seconds: float = math.inf) -> None:
        self._find, self._seconds = find, seconds
        self._found: dict[str, tuple[float, T]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def known(self, key: str) -> T | None:
        """What is remembered; None where nothing is."""
        at, value = self._found.get(key, (-math.inf, None))
        return value if time.monotonic() - at < self._seconds else None

    def of(self, key: str) -> T:
        """The fact. Blocks; of callers at the same time one finds out, and all are told."""
        with self._locks.setdefault(key, threading.Lock()):
            value = self.known(key)
            if value is None:
                value = self._find(key)
                self._found[key] = (time.monotonic(), value)
            return value
