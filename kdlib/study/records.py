"""Records: what git keeps of finished runs, as one Parquet file a study and seed. (No torch.)

`data/records/<study>/seed-<n>.parquet` has the runs of one seed, `seeds.parquet` those that belong to none (sets of
seeds in one run). A row a run, sorted by its name; the columns are those of the table of runs (parameters, labels,
metrics, costs) and, beside them, `provenance` (JSON), `class_names`, `history` (the steps that end an epoch)
and `arrays` (named small arrays as safetensors). The same content gives the same bytes.

A file is not trusted: it is refused if it is larger, or says that it is larger, than records are, if a column has
another type or if a name occurs twice, and nothing in it is ever executed.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as arrow
from numpy.typing import NDArray
from pyarrow import parquet
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.base.files import write_atomically
from kdlib.runs.recipes import RECIPES, fields

Arrays = dict[str, NDArray[Any]]
Record = dict[str, Any]
"""A row of the table of runs, with what `HEAVY` names beside."""

STEP = {"step": arrow.int32(), "epoch": arrow.float32(), "train_loss": arrow.float32(), "val_nll": arrow.float32(),
        "val_accuracy": arrow.float64(), "learning_rate": arrow.float32()}  # fmt: skip
"""What a history keeps of a step; claims about convergence rest on `val_accuracy`, which is kept whole."""
HEAVY = {
    "provenance": arrow.string(),
    "class_names": arrow.list_(arrow.string()),
    "history": arrow.list_(arrow.struct(list(STEP.items()))),
    "arrays": arrow.binary(),
}
"""Columns that the table of runs has not."""
TEXTS = ("run", "run_type", "dataset", "teacher", "label", "teacher_label")
"""Columns of text that every file has; in `REQUIRED` no run lacks it."""
REQUIRED = TEXTS[:4]
COSTS = ("training_seconds", "lineage_seconds", "prediction_seconds_per_image", "peak_memory_bytes", "numbers_kept")
"""What `kdlib.teachers.costs` wrote to the provenance; none in runs that are older."""
ALWAYS = (*TEXTS, *COSTS, "teacher_run", "samples_used", "seconds", "device", "precision", "threads", "processor",
          "finished")  # fmt: skip
"""Columns that every row has, if only as none."""
MOST_BYTES, MOST_UNPACKED, MOST_RUNS = 2**26, 2**28, 20_000
NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)


def files(study: str | None = None) -> list[Path]:
    """Return the files of a study's records, or of all studies'."""
    return sorted(paths.RECORDS.glob(f"{study or '*'}/seed*.parquet"))


def file_of(study: str, seed: int | None) -> Path:
    """Return the file of a study's runs of a seed, or of those that belong to none."""
    return paths.RECORDS / study / ("seeds.parquet" if seed is None else f"seed-{seed}.parquet")


def write(file: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as a file, atomically; without a record there is no file.

    Raises:
        InputError: what a run has under a name is of another type than what the others have.
    """
    rows = sorted(records, key=lambda one: str(one["run"]))
    if not rows:
        file.unlink(missing_ok=True)
        return
    names = sorted({name for one in rows for name in one} - set(HEAVY))
    columns = {name: _column(name, rows) for name in (*names, *HEAVY)}
    stream = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(columns), stream, compression="zstd", compression_level=15, write_statistics=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, stream.getvalue().to_pybytes())


def _column(name: str, rows: list[Mapping[str, Any]]) -> arrow.Array:
    values = [one.get(name) for one in rows]
    try:
        made = arrow.array(values, HEAVY.get(name))
    except (arrow.ArrowException, OverflowError):  # of several types, or an integer of more than 64 bits
        made = None
    if made is None or not _allowed(name, made.type):
        kinds = Counter(type(value) for value in values if value is not None).most_common()
        odd = next(one for one in rows if type(one.get(name)) is kinds[-1][0])
        raise InputError(
            f"{odd['run']} is refused by the records: its {name} = {odd[name]!r} is not what others have; move "
            "the run out of the store, and the same command then makes it again."
        )
    return made


def read(file: Path) -> dict[str, Record]:
    """Return all that a file has of each run, by name, as `write` was given it.

    Raises:
        InputError: it is no file of records.
    """
    heavy = {more["run"]: more for more in _columns(file, ("run", *HEAVY)).to_pylist()}
    own = {kind: {*fields(kind), *ALWAYS} for kind in RECIPES}  # a null elsewhere is what only other runs have
    light = [
        {name: value for name, value in one.items() if value is not None or name in own[one["run_type"]]}
        for one in _light(file, _written(file)).to_pylist()
    ]
    return {one["run"]: {**one, **heavy[one["run"]]} for one in light}


def frame(study: str | None = None) -> pd.DataFrame:
    """Return the rows of the table of runs that a study's records keep, or all studies', their names as index."""
    return _frame(tuple((file, _written(file)) for file in files(study)))


def histories(runs: Iterable[str]) -> pd.DataFrame:
    """Return the kept steps of runs' histories, one under the other, each with its `run`; none of unknown runs."""
    wanted, parts = set(runs), [pd.DataFrame(columns=["run", *STEP])]
    for file in reversed(files()) if wanted else []:  # of several that have a run the last counts, as in `frame`
        if own := wanted.intersection(_light(file, _written(file))["run"].to_pylist()):
            steps = _histories(file, _written(file))
            parts.append(steps[steps["run"].isin(own)])
            wanted -= own
    return pd.concat(parts[1:] or parts)


def arrays(run: str) -> Arrays:
    """Return the small arrays kept of a run, by name; none where no record has any.

    Raises:
        InputError: they are no whole safetensors.
    """
    for file in reversed(files()):  # as in `histories`
        if (packed := _of_runs("arrays", file, _written(file)).get(run)) is not None:
            return unpacked(packed, f"{file.parent.name}/{file.name}")
    return {}


def class_names(run: str) -> tuple[str, ...]:
    """Return the names of the classes of a run's dataset; none where no record has them."""
    found = (_of_runs("class_names", file, _written(file)).get(run) for file in reversed(files()))
    return next((tuple(names) for names in found if names is not None), ())


def packed(given: Mapping[str, NDArray[Any]]) -> bytes | None:
    """Return named arrays as a record keeps them: safetensors, numbers of 64 bits only where they were given."""
    return save({name: np.ascontiguousarray(value) for name, value in given.items()}) if given else None


def unpacked(given: bytes, where: str) -> Arrays:
    """Return named arrays of a record.

    Raises:
        InputError: they are no whole safetensors.
    """
    try:
        return dict(load(given))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where} is refused: its arrays are no safetensors ({error}).") from None


def _written(file: Path) -> int:
    return file.stat().st_mtime_ns


def _columns(file: Path, names: tuple[str, ...] | None = None) -> arrow.Table:
    """Read columns of a file that is checked first; without names, all that the table of runs has."""
    where = f"{file.parent.name}/{file.name}"
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InputError(f"{where} is refused: it has more than {MOST_BYTES >> 20} MiB.")
        with parquet.ParquetFile(file) as opened:
            meta, schema = opened.metadata, opened.schema_arrow
            unpacked_bytes = sum(meta.row_group(k).total_byte_size for k in range(meta.num_row_groups))
            if meta.num_rows > MOST_RUNS or unpacked_bytes > MOST_UNPACKED:
                raise InputError(
                    f"{where} is refused: allowed are {MOST_RUNS} runs and {MOST_UNPACKED >> 20} MiB unpacked."
                )
            types = dict(zip(schema.names, schema.types, strict=True))
            for name in (*TEXTS, *HEAVY, *schema.names):
                if name not in types or len(types) < len(schema.names) or not _allowed(name, types[name]):
                    raise InputError(f"{where} is refused: records have no such column {name!r}, or need it.")
            light = [name for name in types if name not in HEAVY]
            return opened.read(columns=light if names is None else list(names))
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where} cannot be read: {' '.join(str(error).split())}.") from None


def _allowed(name: str, kind: arrow.DataType) -> bool:
    if name in HEAVY:
        return bool(kind == HEAVY[name])
    if name in TEXTS:
        return bool(arrow.types.is_string(kind))
    of = arrow.types
    return bool(
        of.is_string(kind) or of.is_int64(kind) or of.is_float64(kind) or of.is_boolean(kind) or of.is_null(kind)
    )


@functools.cache
def _light(file: Path, _: int) -> arrow.Table:
    """Return a file's columns of the table of runs, checked."""
    table, where = _columns(file), f"{file.parent.name}/{file.name}"
    if any(table[name].null_count for name in REQUIRED):
        raise InputError(f"{where} is refused: a run lacks one of {', '.join(REQUIRED)}.")
    names, types = table["run"].to_pylist(), set(table["run_type"].to_pylist())
    if len(set(names)) < len(names) or not types <= set(RECIPES) or not all(map(NAME.fullmatch, names)):
        raise InputError(f"{where} is refused: a run is there twice, or a name or run type is none.")
    return table


@functools.cache
def _frame(written: tuple[tuple[Path, int], ...]) -> pd.DataFrame:
    tables = [_light(file, mark) for file, mark in written]
    if not tables:
        return pd.DataFrame(index=pd.Index([], name="run"))
    whole: pd.DataFrame = arrow.concat_tables(tables, promote_options="permissive").to_pandas()
    return whole.drop_duplicates("run", keep="last").set_index("run")


@functools.cache
def _histories(file: Path, _: int) -> pd.DataFrame:
    table = _columns(file, ("run", "history")).combine_chunks()
    lists = table["history"].combine_chunks()
    steps: pd.DataFrame = arrow.Table.from_struct_array(lists.flatten()).to_pandas()
    lengths = lists.value_lengths().fill_null(0).to_numpy()
    steps.insert(0, "run", np.repeat(table["run"].to_numpy(), lengths))
    return steps


@functools.cache
def _of_runs(column: str, file: Path, _: int) -> dict[str, Any]:
    """Return what a file has of its runs in one column, by run."""
    table = _columns(file, ("run", column))
    return dict(zip(table["run"].to_pylist(), table[column].to_pylist(), strict=True))
