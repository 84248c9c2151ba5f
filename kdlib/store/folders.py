"""What the folder of a run must hold, read and checked in one place: a damaged run stops nothing but itself.

The three JSON files and the ends of the history are looked at whenever somebody asks whether a run is finished, once
for each time that they were written. Tensors have digests and are checked whenever they are loaded.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AllowInfNan, BaseModel, Strict, TypeAdapter, ValidationError

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


class _Begun(BaseModel):
    """`config.json` of any run."""

    run: str


class _Made(_Begun):
    """`config.json` of a run that has metrics."""

    run_type: RunType
    role: str
    dataset: str
    fingerprint: str
    parents: dict[str, str]
    config: dict[str, str | int | float | bool | None]
    classes: list[str] = []


Number = Annotated[float, Strict(), AllowInfNan(False)]


class _Session(BaseModel):
    seconds: Number | None = None


class _Provenance(BaseModel):
    hardware: dict[str, Any]
    sessions: list[_Session]


BEGUN: dict[str, TypeAdapter[Any]] = {
    CONFIG: TypeAdapter(_Begun),
    PROVENANCE: TypeAdapter(_Provenance),
    METRICS: TypeAdapter(dict[str, Number]),
}
"""What a small file must hold; it may hold more."""
MADE = {**BEGUN, CONFIG: TypeAdapter(_Made)}
"""The same of a run that has metrics."""


def read(folder: Path) -> Small:
    """Return the small files of a run's folder, which is named like the run.

    Raises:
        DamagedRun: one is torn, lacks what a run needs or belongs to another run; or the run has metrics and lacks
            another of them.
    """
    found = _looked_at(folder, written(str(folder)))
    if isinstance(found, Small):
        return found
    raise found.with_traceback(None)


def written(folder: str) -> Written:
    """Return which small files there are, and when and how they were written; no paths: a table asks for thousands."""
    return tuple(_written(f"{folder}/{file}") for file in FILES)


def _written(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=2**16)
def _looked_at(folder: Path, marks: Written) -> Small | DamagedRun:
    there = dict(zip(FILES, marks, strict=True))
    made = there[METRICS] is not None
    try:
        found = [
            _object(folder / file, there[file], wanted, made) for file, wanted in (MADE if made else BEGUN).items()
        ]
        if made and there[HISTORY]:
            _check_ends(folder / HISTORY)
    except DamagedRun as error:
        return error
    return Small(*found)


def _object(
    path: Path, mark: tuple[int, int, int] | None, wanted: TypeAdapter[Any], needed: bool
) -> dict[str, Any] | None:
    """Return what a JSON file holds, whatever was done to it, or none where there is no file and none is needed."""
    run = path.parent.name
    if mark is None:
        if needed:
            raise DamagedRun(run, path.name, "is missing")
        return None
    if mark[-1] > MOST_BYTES:
        raise DamagedRun(run, path.name, f"has more than {MOST_BYTES >> 20} MiB")
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
        wanted.validate_python(value)
    except OSError as error:
        raise DamagedRun(run, path.name, f"cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "all of it"
        raise DamagedRun(run, path.name, f"holds what no run has: {place}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedRun(run, path.name, f"is no JSON ({error})") from None
    if path.name == CONFIG and value["run"] != run:
        raise DamagedRun(run, CONFIG, f"belongs to the run {value['run']!r}")
    if path.name == PROVENANCE and value["hardware"].keys() != Settings.__dataclass_fields__.keys():
        raise DamagedRun(run, PROVENANCE, f"has no settings of hardware in {value['hardware']!r}")
    return value


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
        raise DamagedRun(path.parent.name, path.name, "is no whole Parquet file")
