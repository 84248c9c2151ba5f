"""What a run costs in time and memory, for its provenance; nothing here changes a number that it computes.

`restart_peak` and `peak_memory` frame a run; `of_teacher` gives what the page of costs reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

PROCESS = Path("/proc/self")


def restart_peak(device: torch.device) -> None:
    """Forget the peak of memory so far, where the system can: on a GPU, and for a process of Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        (PROCESS / "clear_refs").write_text("5")  # proc(5): resets the high-water mark of the resident set
    except OSError:
        return


def peak_memory(device: torch.device) -> int:
    """Return the peak of memory in bytes since `restart_peak`: allocated on a GPU, else resident of the process.

    A process's memory holds Python, its libraries, the dataset and what earlier runs of the same process left.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = (PROCESS / "status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def of_teacher(
    seconds: float, tensors: Mapping[str, Tensor], parents: Iterable[Mapping[str, Any]], needs_parents: bool
) -> dict[str, Any]:
    """Return a teacher's own training time, that with all its parents', and the numbers it keeps in order to answer.

    Args:
        seconds: of its own fit.
        tensors: what its run keeps.
        parents: the provenance of the runs that it started from.
        needs_parents: whether it answers with its parents' weights too.
    """
    before = list(parents)
    known = all("lineage_seconds" in parent for parent in before)  # runs made before costs were written have none
    lineage = seconds + sum(float(parent["lineage_seconds"]) for parent in before) if known else None
    kept = sum(int(tensor.numel()) for tensor in tensors.values())
    if needs_parents:
        kept += sum(int(parent.get("numbers_kept") or 0) for parent in before)
    return {"training_seconds": seconds, "lineage_seconds": lineage, "numbers_kept": kept if known else None}
