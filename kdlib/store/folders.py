"""What the folder of a run must hold, read and checked in one place: a damaged run stops nothing but itself.

The three JSON files and the ends of the history are looked at whenever somebody asks whether a run is finished, once
for each time that they were written. Tensors have digests and are checked whenever they are loaded.
"""

from __future__ import annotations

import functools
import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

from kdlib.base.config import RunType
from kdlib.base.errors import DamagedRun
from kdlib.training.settings import Settings

CONFIG, PROVENANCE, METRICS, HISTORY = "config.json", "provenance.json", "metrics.json", "history.parquet"
FILES = (CONFIG, PROVENANCE, METRICS, HISTORY)
MOST_BYTES = 2**24
"""A JSON file of a run has some kilobytes; a larger one is none, and is not read into memory."""
MAGIC = b"PAR1"
STEP = ("step", "epoch", "train_loss", "val_nll", "val_accuracy", "learning_rate")
"""The columns of a history: a row a step, validation on the rows that end an epoch."""

Written = tuple[tuple[int, int, int] | None, ...]


class Small(NamedTuple):
    """The small files of a run; none where the file is not there. To be read only: others get the same objects."""

    config: dict[str, Any] | None
    provenance: dict[str, Any] | None
    metrics: dict[str, float] | None


def read(folder: Path) -> Small:
    """Return the small files of a run's folder, which is named like the run.

    Raises:
        DamagedRun: one is torn, lacks what a run needs or belongs to another run; or the run has metrics and lacks
            another of them.
    """
    found = _looked_at(folder, written(str(folder)))
    if isinstance(found, Small):
        return found
    raise DamagedRun(folder.name, *found.args)


def written(folder: str) -> Written:
    """Return which small files there are, and when and how they were written; no paths: a table asks for thousands."""
    return tuple(_written(f"{folder}/{file}") for file in FILES)


def damage(folder: Path) -> DamagedRun | None:
    """Return what `read` would raise."""
    try:
        read(folder)
    except DamagedRun as error:
        return error
    return None


def _written(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class _Wrong(Exception):
    """A file and what is wrong with it."""


@functools.lru_cache(maxsize=2**16)
def _looked_at(folder: Path, marks: Written) -> Small | _Wrong:
    try:
        return _checked(folder, marks)
    except _Wrong as error:
        return error


def _checked(folder: Path, marks: Written) -> Small:
    there = dict(zip(FILES, marks, strict=True))
    config, provenance, metrics = (_object(folder / file, there[file]) for file in FILES[:3])
    if config is not None:
        _require(CONFIG, config, run=str)
        if config["run"] != folder.name:
            raise _Wrong(CONFIG, f"belongs to the run {config['run']!r}")
    if provenance is not None:
        _require(PROVENANCE, provenance, hardware=dict, sessions=list)
        try:
            Settings(**provenance["hardware"])
        except TypeError:
            raise _Wrong(PROVENANCE, f"has no settings of hardware in {provenance['hardware']!r}") from None
        for session in provenance["sessions"]:
            seconds = session.get("seconds") if isinstance(session, dict) else "none"
            if seconds is not None and not _is_number(seconds):
                raise _Wrong(PROVENANCE, f"has a session {session!r} without a number of seconds")
    if metrics is not None:
        for name, value in metrics.items():
            if not _is_number(value):
                raise _Wrong(METRICS, f"says {name} = {value!r}, which is no finite number")
        for file, content in ((CONFIG, config), (PROVENANCE, provenance)):
            if content is None:
                raise _Wrong(file, "is missing")
        assert config is not None
        _require(CONFIG, config, config=dict, run_type=str, role=str, dataset=str, fingerprint=str, parents=dict)
        if config["run_type"] not in tuple(RunType):
            raise _Wrong(CONFIG, f"has no run type in {config['run_type']!r}")
        for name, value in config["config"].items():
            if isinstance(value, list | dict):
                raise _Wrong(CONFIG, f"says {name} = {value!r}, which is no single value")
        _require(CONFIG, {"classes": [], **config}, classes=list)
        if not all(isinstance(name, str) for name in (*config["parents"].values(), *config.get("classes", []))):
            raise _Wrong(CONFIG, "names a parent or a class by what is no text")
        if there[HISTORY]:
            _check_ends(folder / HISTORY)
    return Small(config, provenance, metrics)


def _object(path: Path, mark: tuple[int, int, int] | None) -> dict[str, Any] | None:
    """Return what a JSON file holds, whatever was done to it, or none where there is no file."""
    if mark is None:
        return None
    if mark[-1] > MOST_BYTES:
        raise _Wrong(path.name, f"has more than {MOST_BYTES >> 20} MiB")
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise _Wrong(path.name, f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise _Wrong(path.name, f"is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise _Wrong(path.name, "holds no JSON object")
    return value


def _require(file: str, value: dict[str, Any], **types: type) -> None:
    for key, kind in types.items():
        if not isinstance(value.get(key), kind):
            raise _Wrong(file, f"has no {key!r} of type {kind.__name__}")


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _check_ends(path: Path) -> None:
    """Refuse a Parquet file that was cut: it begins with four letters and ends in a length and the same four."""
    try:
        with path.open("rb") as stream:
            first = stream.read(4)
            size = stream.seek(-8, os.SEEK_END) + 8
            last = stream.read()
        whole = first == last[4:] == MAGIC and int.from_bytes(last[:4], "little") <= size - 12
    except OSError:  # also where there are no eight bytes to go back
        whole = False
    if not whole:
        raise _Wrong(path.name, "is no whole Parquet file")
