"""Signals and memory: each ends in a number to look at or in one sentence."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from kdlib.base.errors import KdlibError
from kdlib.training.guards import interruptible, memory_sentence


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_number_and_the_second_stops(number: int) -> None:
    before = signal.getsignal(number)
    with interruptible() as asked:
        assert asked() == 0
        os.kill(os.getpid(), number)
        assert asked() == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_handlers_come_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), interruptible():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_real_exhaustion_names_batch_size() -> None:
    with pytest.raises(KdlibError, match="batch_size = 64 needs more memory"), memory_sentence(64):
        torch.empty(1 << 50)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")])
def test_every_kind_of_exhaustion_is_the_same_sentence(error: Exception) -> None:
    with pytest.raises(KdlibError, match="batch_size = 64"), memory_sentence(64):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("unsupported memory format"), ValueError("memory"), SystemExit(143)])
def test_other_errors_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, memory_sentence(64):
        raise error
    assert raised.value is error
