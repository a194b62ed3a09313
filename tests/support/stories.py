"""Several stories at once, each in a thread: what takes long on a cluster is waiting."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


@overload
def together(one: Callable[[], A], two: Callable[[], B], /) -> tuple[A, B]: ...
@overload
def together(one: Callable[[], A], two: Callable[[], B], three: Callable[[], C], /) -> tuple[A, B, C]: ...
@overload
def together(
    one: Callable[[], A], two: Callable[[], B], three: Callable[[], C], four: Callable[[], D], /
) -> tuple[A, B, C, D]: ...
@overload
def together(
    one: Callable[[], A], two: Callable[[], B], three: Callable[[], C], four: Callable[[], D], five: Callable[[], E], /
) -> tuple[A, B, C, D, E]: ...
@overload
def together(*stories: Callable[[], A]) -> tuple[A, ...]: ...
def together(*stories: Callable[[], Any]) -> tuple[Any, ...]:
    """Run all to their end, then return their results in order, or raise the first error."""
    with ThreadPoolExecutor(len(stories)) as pool:
        futures = [pool.submit(story) for story in stories]
    return tuple(future.result() for future in futures)
