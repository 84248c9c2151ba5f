"""Every folder of the project, from this file's own location."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The root of the clone."""

DATA = ROOT / "data"
STUDIES = DATA / "studies"
"""What to run: one validated YAML file a study, kept in git."""

RECORDS = DATA / "records"
"""Measured results kept in git, one folder a study."""

NOTEBOOKS = ROOT / "notebooks"
REPORTS = NOTEBOOKS / "reports"


def runs() -> Path:
    """Return the run store: `$KDLIB_RUNS`, else `data/runs`."""
    return Path(os.environ.get("KDLIB_RUNS") or DATA / "runs")


def jobs() -> Path:
    """Return the folder of executed run notebooks: `$KDLIB_JOBS`, else `data/jobs`."""
    return Path(os.environ.get("KDLIB_JOBS") or DATA / "jobs")


def pages() -> Path:
    """Return the folder of executed report notebooks, the book's result pages: `$KDLIB_PAGES`, else `book/results`."""
    return Path(os.environ.get("KDLIB_PAGES") or ROOT / "book" / "results")


def datasets() -> Path:
    """Return the folder of decoded datasets: `$KDLIB_DATASETS`, else `data/datasets`."""
    return Path(os.environ.get("KDLIB_DATASETS") or DATA / "datasets")


def data_root(given: str | Path | None = None) -> Path:
    """Return the folder that holds raw datasets, which is only ever read.

    The first that applies: the one given, `$KDLIB_DATA_ROOT`, `shared/data` beside the clone (so that
    several clones share one download), `data` in the clone.
    """
    if given:
        return Path(given)
    if os.environ.get("KDLIB_DATA_ROOT"):
        return Path(os.environ["KDLIB_DATA_ROOT"])
    beside = ROOT.parent / "shared" / "data"
    return beside if beside.is_dir() else DATA
