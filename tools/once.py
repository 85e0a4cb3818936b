"""What is opened once per process, whoever asks for it first."""

from collections.abc import Callable, Hashable
from functools import cache, update_wrapper
from threading import Lock
from typing import Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


class Once(Generic[P, T]):
    """Decorates a function like `functools.cache`, but threads that ask at once wait for the first.

    For what must not be there twice. Arguments must be hashable. What is raised is not kept: the next call
    tries again.
    """

    def __init__(self, opened: Callable[P, T]) -> None:
        self._known, self._lock = cache(opened), Lock()
        self.cache_clear = self._known.cache_clear
        """Forget all of it, as `functools.cache` has it."""
        update_wrapper(self, opened)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock:
            return self._known(*cast("tuple[Hashable, ...]", args), **cast("dict[str, Hashable]", kwargs))
