"""Eigen-CAM maps as small arrays in a study's records: what a page shows of them, of each teacher's first seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from kdlib import paths
from kdlib.checkpoints import read_tensors, write_tensors
from kdlib.runs import Run

Arrays = dict[str, NDArray[Any]]

FILE = "eigencam.safetensors"
"""Tensors are named `<run>/<array>`."""


def keep(folder: Path, frame: pd.DataFrame) -> None:
    """Write the pictures of each teacher's first seed, and their maps, beside what is kept in a folder of records.

    Args:
        folder: `data/records/<study>`.
        frame: the table of the study's runs in the store.
    """
    rows = frame[frame["run_type"] == "eigencam"]
    if rows.empty:
        return
    file = folder / FILE
    tensors = read_tensors(file)[0] if file.is_file() else {}
    alike = ["dataset", "architecture", "teacher_label", "stage", "images"]
    for name in rows.sort_values("seed", kind="stable").drop_duplicates(alike)["run"]:
        arrays = Run(str(name)).arrays()
        few = len(arrays["pictures"])
        tensors |= {f"{name}/{key}": value[:few] for key, value in arrays.items()}
    write_tensors(file, tensors)


def arrays_of(row: pd.Series[Any]) -> Arrays | None:
    """Return a run's arrays as numpy has them, from the store or from records; None where neither has them."""
    name = str(row["run"])
    if row["source"] == "run":
        return {key: value.numpy() for key, value in Run(name).arrays().items()}
    for file in sorted(paths.RECORDS.glob(f"*/{FILE}")):
        tensors = read_tensors(file)[0]
        if f"{name}/maps" in tensors:
            own = {key: value for key, value in tensors.items() if key.startswith(f"{name}/")}
            return {key.partition("/")[2]: value.numpy() for key, value in own.items()}
    return None
