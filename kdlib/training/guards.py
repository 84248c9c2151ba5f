"""What can stop a training from outside: a signal, or memory that runs out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from kdlib.base.errors import KdlibError

SPENT = ("out of memory", "can't allocate memory", "not enough memory")
"""What torch says on CUDA, Linux and Windows when memory runs out."""


@contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """Turn the first interrupt or termination signal into a number to look at between steps."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if seen:  # asked twice: stop at once, the last checkpoint stands
            raise KeyboardInterrupt
        seen.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: seen[0] if seen else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def memory_sentence(batch_size: int) -> Iterator[None]:
    """Turn running out of memory into a sentence that names `batch_size`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own OutOfMemoryError is a RuntimeError
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in SPENT):
            raise
        raise KdlibError(f"batch_size = {batch_size} needs more memory than there is: give a smaller one.") from error
