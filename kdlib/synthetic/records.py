"""The arrays of synthetic experiments in a study's records, small enough for git."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from kdlib import paths, runs
from kdlib.checkpoints import read_tensors, write_tensors
from kdlib.config import RunType
from kdlib.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FILE = "synthetic.safetensors"


def keep(folder: Path, fresh: pd.DataFrame) -> None:
    """Write the arrays of a table's synthetic runs, as `<run>/<array>`, beside what a folder of records has."""
    names = fresh.loc[fresh["run_type"] == RunType.SYNTHETIC, "run"]
    if not len(names):
        return
    kept = read_tensors(folder / FILE)[0] if (folder / FILE).is_file() else {}
    for name in names:
        kept |= {f"{name}/{key}": value for key, value in runs.Run(name).arrays().items()}
    write_tensors(folder / FILE, kept)


def arrays(name: str) -> dict[str, Tensor]:
    """Return the arrays of a run, from the store or from records.

    Raises:
        InputError: neither has it.
    """
    run = runs.Run(name)
    if run.finished:
        return run.arrays()
    for file in sorted(paths.RECORDS.glob(f"*/{FILE}")):
        kept = read_tensors(file)[0]
        found = {key.partition("/")[2]: value for key, value in kept.items() if key.startswith(f"{name}/")}
        if found:
            return found
    raise InputError(f"run = {name!r} is refused: neither the store nor a record has its arrays.")
