"""The rows of finished runs, read once for each time that their metrics were written. (No torch.)

`.index.json` in the store spares reading thousands of small files. A row holds while the run's own files have the times
and sizes they had; deleted, the index is made again. The store alone says what is finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from kdlib.base import paths
from kdlib.base.errors import NotWritten
from kdlib.base.files import write_atomically
from kdlib.store import folders
from kdlib.store.runs import Run

FILE = ".index.json"
MOST_BYTES = 2**28
Row = dict[str, Any]


def rows(names: Iterable[str], of_run: Callable[[Run], Row]) -> dict[str, Row]:
    """Return the rows of those runs that are finished, by name.

    Args:
        of_run: makes the row of a finished run from its files.
    """
    store = paths.runs()
    try:
        there = set(os.listdir(store))  # noqa: PTH208
    except OSError:  # no store yet
        return {}
    kept, found, changed = _read(), {}, False
    for name in (name for name in names if name in there):
        *marks, metrics, history = folders.written(f"{store}/{name}")
        if metrics is None:
            continue
        mark = [list(one) if one else None for one in (*marks, metrics, history)]
        held = kept.get(name)
        if isinstance(held, list) and len(held) == 2 and held[0] == mark and isinstance(held[1], dict):
            found[name] = held[1]
        elif (run := Run(name)).finished:
            found[name], changed = of_run(run), True
            kept[name] = [mark, found[name]]
    if changed:
        with suppress(NotWritten):  # of a store that is only read
            write_atomically(store / FILE, json.dumps({n: row for n, row in kept.items() if n in there}).encode())
    return found


def _read() -> dict[str, Any]:
    file = paths.runs() / FILE
    try:
        value = json.loads(file.read_bytes()) if file.stat().st_size < MOST_BYTES else {}
    except (OSError, ValueError, RecursionError):  # none, or torn: it is made again
        return {}
    return value if isinstance(value, dict) else {}
