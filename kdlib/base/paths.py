"""Every folder of the project, from this file's own location, and what `KDLIB_*` says instead.

A path that a user types is made whole where it is read: `~` is expanded, and what is relative is so to the folder of
the command, also in the jobs that it starts elsewhere.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from kdlib.base.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
"""The root of the clone."""

DATA = ROOT / "data"
STUDIES = DATA / "studies"
"""What to run: one validated YAML file a study, kept in git."""

RECORDS = DATA / "records"
"""Measured results kept in git, one folder a study."""

MOST_OF_A_NAME, MOST_OF_A_PATH = 255, 4095
"""Bytes, on Linux and macOS; to ask for a file with a longer name is an error, not an answer."""

NOTEBOOKS = ROOT / "notebooks"
REPORTS = NOTEBOOKS / "reports"


def whole(path: str | Path) -> Path:
    """Return a path that a user typed, absolute and with `~` expanded.

    Raises: InputError for the home of a user who is not known here, as in `~nobody`, and for a name too long.
    """
    try:
        found = Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"the path {str(path)!r} begins in a home that is not known: write it without ~.") from error
    longest = max(len(part.encode(errors="surrogatepass")) for part in found.parts)
    if longest > MOST_OF_A_NAME or len(str(found).encode(errors="surrogatepass")) > MOST_OF_A_PATH:
        raise InputError(
            f"the path {str(path)[:80]!r}… is refused: allowed are {MOST_OF_A_NAME} bytes of each name in it, "
            f"{MOST_OF_A_PATH} in all."
        )
    return found


def _own(variable: str, usual: Path) -> Path:
    return whole(os.environ.get(variable) or usual)


def settle() -> None:
    """Make the folders that `KDLIB_*` names absolute, for the processes that a command starts elsewhere."""
    for variable in ("KDLIB_RUNS", "KDLIB_JOBS", "KDLIB_PAGES", "KDLIB_DATASETS", "KDLIB_DATA_ROOT"):
        if os.environ.get(variable):
            os.environ[variable] = str(whole(os.environ[variable]))


def number(variable: str, usual: float) -> float:
    """Return a number from the environment.

    Raises:
        InputError: it is set to something that is no number from 0 on.
    """
    text = os.environ.get(variable) or str(usual)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InputError(f"{variable} = {text!r} is refused: it must be a number from 0 on.")
    return value


def runs() -> Path:
    """Return the run store: `$KDLIB_RUNS`, else `data/runs`."""
    return _own("KDLIB_RUNS", DATA / "runs")


def jobs() -> Path:
    """Return the folder of executed run notebooks: `$KDLIB_JOBS`, else `data/jobs`."""
    return _own("KDLIB_JOBS", DATA / "jobs")


def pages() -> Path:
    """Return the folder of executed report notebooks, the book's result pages: `$KDLIB_PAGES`, else `book/results`."""
    return _own("KDLIB_PAGES", ROOT / "book" / "results")


def datasets() -> Path:
    """Return the folder of decoded datasets: `$KDLIB_DATASETS`, else `data/datasets`."""
    return _own("KDLIB_DATASETS", DATA / "datasets")


def data_root(given: str | Path | None = None) -> Path:
    """Return the folder that holds raw datasets, which is only ever read.

    The first that applies: the one given, `$KDLIB_DATA_ROOT`, `shared/data` beside the clone (so that
    several clones share one download), `data` in the clone.
    """
    if given:
        return whole(given)
    beside = ROOT.parent / "shared" / "data"
    return _own("KDLIB_DATA_ROOT", beside if beside.is_dir() else DATA)
