"""The sentences a user may see, as exceptions."""

from __future__ import annotations


class KdlibError(Exception):
    """Say in one sentence what went wrong and what to do about it."""


class InputError(KdlibError, ValueError):
    """Refuse a value: the sentence names the parameter, the value and what is allowed."""


class RunLocked(KdlibError):
    """Say that another process is working on the same run."""


class NotFinite(KdlibError, ArithmeticError):
    """Stop a training whose loss is no longer a finite number, saying where."""
