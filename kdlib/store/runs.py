"""The run store: a folder a run, named by what made it, finished or resumable, never computed twice.

A finished run holds `config.json`, `weights.safetensors`, `history.parquet`, `predictions.safetensors` (float16
log-probabilities on validation and test images), `provenance.json` and, written last, `metrics.json`: a run is
finished if and only if that file is there. An experiment or a measurement that makes no network holds
`arrays.safetensors` in place of weights and predictions. The only lock is a `flock` on `.locks/<run>`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlib.base import paths
from kdlib.base.config import Config
from kdlib.base.errors import DamagedRun, InputError, KdlibError, RunLocked
from kdlib.base.files import write_atomically, write_json
from kdlib.store import folders

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from kdlib.training.hardware import Hardware


LOCKS = ".locks"  # files opened for writing: on NFS a lock of a folder holds among one machine's processes only


@dataclass(frozen=True)
class Run:
    """One folder of the store, by name."""

    name: str

    @property
    def path(self) -> Path:
        """Return the run's folder."""
        return paths.runs() / self.name

    @property
    def checkpoints(self) -> Path:
        """Return the folder of checkpoints, which is gone when the run is finished."""
        return self.path / "checkpoints"

    @property
    def finished(self) -> bool:
        """Say whether the run is complete, and none of its small files damaged."""
        try:
            return folders.read(self.path).metrics is not None
        except DamagedRun:
            return False

    @property
    def damage(self) -> DamagedRun | None:
        """Return what is wrong with the small files: a damaged run counts as not finished."""
        return folders.damage(self.path)

    @property
    def record(self) -> dict[str, Any]:
        """Return `config.json`: run type, resolved config, parents, dataset, fingerprint and name."""
        return self._small("config.json", folders.read(self.path).config)

    @property
    def metrics(self) -> dict[str, float]:
        """Return the point values, named `val_...` and `test_...`."""
        return self._small("metrics.json", folders.read(self.path).metrics)

    @property
    def provenance(self) -> dict[str, Any]:
        """Return what made the run: versions, hardware, times."""
        return self._small("provenance.json", folders.read(self.path).provenance)

    def _small(self, file: str, content: dict[str, Any] | None) -> dict[str, Any]:
        if content is None:
            raise DamagedRun(self.name, file, "is missing")
        return dict(content)

    def _tensors(self, file: str) -> dict[str, Tensor]:
        from kdlib.base.tensors import read_tensors

        try:
            tensors, state = read_tensors(self.path / file, sealed=True)
        except InputError as error:
            raise DamagedRun(self.name, file, str(error).removeprefix(file).strip(" .")) from None
        if state not in (None, self.name):  # none: in runs that are older
            raise DamagedRun(self.name, file, f"belongs to the run {state!r}")
        return tensors

    def weights(self, file: str = "weights.safetensors") -> dict[str, Tensor]:
        """Return the trained tensors.

        Raises:
            DamagedRun: here and below: the file is not whole, not what was written, or another run's.
        """
        return self._tensors(file)

    def predictions(self) -> dict[str, Tensor]:
        """Return log-probabilities `(n, classes)`, float16, as `val` and `test`."""
        found = self._tensors("predictions.safetensors")
        if not {"val", "test"} <= found.keys():
            raise DamagedRun(self.name, "predictions.safetensors", "lacks those of one of the two")
        return found

    def arrays(self) -> dict[str, Tensor]:
        """Return what a run without weights and predictions keeps, by name."""
        return self._tensors("arrays.safetensors")

    def history(self) -> pd.DataFrame:
        """Return one row a training step, validation on the rows that end an epoch; none where nothing was trained."""
        import pandas as pd
        from pyarrow import ArrowException

        file = self.path / folders.HISTORY
        if not file.is_file():
            return pd.DataFrame()
        try:
            history = pd.read_parquet(file)
        except (OSError, ValueError, ArrowException) as error:
            raise DamagedRun(self.name, file.name, f"cannot be read ({' '.join(str(error).split())})") from None
        lacks = [column for column in folders.STEP if column not in history]
        if lacks:
            raise DamagedRun(self.name, file.name, f"has no column {lacks[0]!r}")
        return history

    def verify(self, whole: bool = True) -> None:
        """Read the small files and, if `whole`, everything else that the run holds.

        Raises:
            DamagedRun: something is not what was written.
        """
        folders.read(self.path)
        if not whole:
            return
        self.history()
        for file in sorted(self.path.glob("*.safetensors")):
            self.predictions() if file.stem == "predictions" else self._tensors(file.name)


def names() -> list[str]:
    """Return the names of all runs in the store: finished, not finished or damaged."""
    store = paths.runs()
    if not store.is_dir():
        return []
    own = (folders.CONFIG, folders.METRICS)
    return sorted(p.name for p in store.iterdir() if any((p / file).is_file() for file in own))


def find(name: str, parameter: str = "run") -> Run:
    """Return the finished run of that name, or the only one whose name begins so.

    Raises:
        InputError: there is none, more than one, or it is not finished or damaged.
    """
    found = [n for n in names() if n == name] or [n for n in names() if n.startswith(name)]
    if len(found) != 1:
        known = f"begins {len(found)} runs ({', '.join(found[:3])}, ...)" if found else "is no run in the store"
        raise InputError(f"{parameter} = {name!r} is refused: it {known}; `python -m kdlib list` shows what there is.")
    run = Run(found[0])
    if run.damage:
        raise InputError(f"{parameter} = {name!r} is refused. {run.damage}")
    if not run.finished:
        raise InputError(f"{parameter} = {name!r} is refused: the run {run.name} is not finished.")
    return run


def set_aside(run: Run) -> Path:
    """Move a run out of the way, so that nothing of it is lost, and return where it lies."""
    aside = paths.runs() / "aside" / f"{run.name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    aside.mkdir(parents=True)
    # metrics.json goes first, for without it the run is not finished
    for path in sorted(run.path.iterdir(), key=lambda path: path.name != "metrics.json"):
        path.replace(aside / path.name)
    return aside


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the run; its folder is made if it was not there.

    Raises:
        RunLocked: another process holds it.
        InputError: the store cannot be written, or its file system has no locks.
    """
    store = paths.runs()
    try:
        for folder in (run.path, store / LOCKS):
            folder.mkdir(parents=True, exist_ok=True)
        file = (store / LOCKS / run.name).open("a")
    except OSError as error:
        raise InputError(f"KDLIB_RUNS = {str(store)!r} is refused: it cannot be written ({error.strerror}).") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLocked(f"The run {run.name} is being made by another process: wait for it or stop it.") from None
        except OSError as error:
            lacks = f"its file system has no locks (flock: {error.strerror}), so two processes could write one run"
            raise InputError(f"KDLIB_RUNS = {str(store)!r} is refused: {lacks}.") from None
        yield


def start(run: Run, record: Mapping[str, Any], config: Config, shape: tuple[int, ...]) -> Hardware:
    """Write a run's config and provenance, or take up those of the run that was interrupted.

    The hardware settings of the first start are used again, as long as this machine has the device.
    """
    from kdlib.training import hardware

    wanted = hardware.resolve(config, shape)
    known = (run.path / folders.PROVENANCE).is_file() and (run.path / folders.CONFIG).is_file()
    provenance = run.provenance if known else {"sessions": []}
    if known and provenance["hardware"]["name"] == wanted.name:
        wanted = hardware.Hardware(**{**provenance["hardware"], "device": wanted.device})
    for torn in (*run.path.glob(".*"), *run.checkpoints.glob(".*")):  # what a killed process was writing
        with suppress(OSError):  # a file that another machine holds open is not to be had
            torn.unlink()
    provenance |= {"hardware": wanted.as_dict(), "versions": hardware.versions(), "commit": commit()}
    provenance["sessions"] = [*provenance["sessions"], {"started": now(), "processor": wanted.name}]
    write_json(run.path / "provenance.json", provenance)
    write_json(run.path / "config.json", dict(record))
    return wanted


def finish(
    run: Run,
    metrics: Mapping[str, float],
    predictions: Mapping[str, Tensor] | None = None,
    weights: Mapping[str, Tensor] | None = None,
    history: Mapping[str, Any] | None = None,
    notes: Mapping[str, Any] | None = None,
    started: float | None = None,
    arrays: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a run's results, `metrics.json` last, and drop its checkpoints."""
    from kdlib.base.tensors import write_tensors

    for stem, tensors in (("weights", weights), ("predictions", predictions), ("arrays", arrays)):
        if tensors is not None:
            write_tensors(run.path / f"{stem}.safetensors", tensors, run.name)
    if history is not None:
        import pandas as pd

        data = pd.DataFrame(history).to_parquet(None, compression="zstd", index=False)
        write_atomically(run.path / folders.HISTORY, data)
    provenance = run.provenance
    *before, last = provenance["sessions"]
    seconds = round(time.perf_counter() - started, 3) if started else None
    provenance |= {"sessions": [*before, {**last, "seconds": seconds}], "finished": now(), **(notes or {})}
    write_json(run.path / "provenance.json", provenance)
    broken = [name for name, value in metrics.items() if value != value or abs(value) == float("inf")]
    if broken:
        raise KdlibError(f"The run {run.name} is not finished: its {', '.join(broken)} are no finite numbers.")
    write_json(run.path / "metrics.json", dict(metrics))
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit() -> str | None:
    """Return the commit of the code; outside a clone what `$KDLIB_COMMIT` says, or `None`."""
    try:
        (paths.ROOT / ".git").lstat()  # else git would tell of a repository around it
        done = subprocess.run(
            ["git", "-C", str(paths.ROOT), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("KDLIB_COMMIT")
    return done.stdout.strip() or None
