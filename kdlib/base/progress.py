"""Whether a progress bar is shown: decided once, here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

BATCH = {"papermill", "nbconvert", "nbclient", "execute", "jupyter-nbconvert", "jupyter-execute", "jupyter-run"}
"""Programs, and commands of Jupyter, that run notebooks with nobody watching."""


def wanted() -> bool:
    """Say whether someone is watching: a terminal, or a kernel that a person (no batch runner) drives.

    `$KDLIB_PROGRESS` set to 0 or 1 decides otherwise. A captured bar would leave its every step on a page.
    """
    given = os.environ.get("KDLIB_PROGRESS")
    if given is not None:
        return given not in ("", "0")
    if _in_kernel():
        return not is_batch(_parent())
    return sys.stderr.isatty()


def is_batch(command: Sequence[str]) -> bool:
    """Say whether a command line runs notebooks with nobody watching."""
    return bool(BATCH & {Path(word).name for word in command})


def _in_kernel() -> bool:
    """Say whether this process is a kernel: one that only imported the package is none."""
    module = sys.modules.get("ipykernel.kernelapp")
    return module is not None and bool(module.IPKernelApp.initialized())


def _parent() -> list[str]:
    """Return the command line of the parent process, or nothing where the system does not tell."""
    import psutil  # which the kernel has loaded

    try:
        return list(psutil.Process(os.getppid()).cmdline())
    except psutil.Error:
        return []


def bar(total: int, done: int, label: str) -> tqdm[Any]:
    """Return a progress bar with the time left, silent where nobody watches."""
    return tqdm(total=total, initial=done, desc=label, unit="step", leave=False, disable=not wanted(), file=sys.stderr)
