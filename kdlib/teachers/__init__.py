"""Kinds of teacher, each whole in a file or folder of its own; `kind` says what every one is, `kinds` which there are.

May import `store` and what is below. What a kind says of itself needs no torch; `fit` and `restore` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdlib.store.runs import Run
    from kdlib.teachers.contract import Teacher
    from kdlib.training.hardware import Hardware

__all__ = ["load"]


def load(run: Run | str, hardware: Hardware | None = None) -> Teacher:
    """Load a finished teacher of any kind by its run's name or a unique prefix.

    Raises:
        InputError: no such run, not finished, no teacher, or weights that do not fit.
    """
    from kdlib.teachers.loading import load as take

    return take(run, hardware)
