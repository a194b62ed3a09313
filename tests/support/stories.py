"""Several stories at once, each in a thread: what takes long on a cluster is waiting."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def together(*stories: Callable[[], Result]) -> list[Result]:
    """Run all to their end, then return their results, or raise the first error."""
    with ThreadPoolExecutor(len(stories)) as pool:
        futures = [pool.submit(story) for story in stories]
    return [future.result() for future in futures]
