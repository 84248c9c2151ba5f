"""Runs in a few files of bounded size, to carry from one machine's store to another's.

A packing is a folder: `runs.json` says what is in it, and `runs.zip.0`, `runs.zip.1`, ... are one zip archive of runs'
files, stored as they are and cut into pieces; joined by `cat runs.zip.*` any tool reads it. A finished run is packed
whole, an interrupted one with its newest checkpoint; a teacher's kept answers, which can be asked for again, are not.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kdlib.base.errors import InputError
from kdlib.base.files import write_atomically, write_json
from kdlib.store import runs
from kdlib.store.runs import Run

SIZE = 16 * 2**20
MOST = 7 * SIZE
"""Bytes of a piece and of all of them, at most: with `runs.json` a packing has no more than eight files."""
MANIFEST, ARCHIVE = "runs.json", "runs.zip"
OVERHEAD = 1024
"""Bytes that a zip archive spends on a file, at most, for names as long as a run's."""
MEMBER = re.compile(r"[A-Za-z0-9][\w.+-]*/(checkpoints/)?[A-Za-z0-9][\w.-]*\.(json|safetensors|parquet)", re.ASCII)
CHECKPOINT = re.compile(r"step-(\d+)\.safetensors")


def pack(
    names: Iterable[str], folder: Path, about: Mapping[str, Any], most: int = MOST, size: int = SIZE
) -> dict[str, str]:
    """Pack runs of the store, in order, as many as fit; a packing that lay in the folder goes.

    Args:
        names: of runs; one without metrics and without a checkpoint has nothing to carry.
        about: what else `runs.json` shall say, JSON-able.
        most, size: bytes of all pieces and of each.

    Returns:
        what became of each run: `finished`, `step <n>`, `nothing yet` or `no room`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{ARCHIVE}.*"):
        old.unlink()
    states: dict[str, str] = {}
    room, buffer = most - OVERHEAD, io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in dict.fromkeys(names):
            run = Run(name)
            files = _files(run)
            needed = sum(path.stat().st_size + OVERHEAD for path in files)
            states[name] = "nothing yet" if not files else _state(run) if needed <= room else "no room"
            if needed <= room:
                for path in files:
                    archive.write(path, path.relative_to(run.path.parent).as_posix())
                room -= needed
    whole = buffer.getvalue()
    cut = [whole[start : start + size] for start in range(0, len(whole), size)]
    sums = {f"{ARCHIVE}.{i}": hashlib.sha256(piece).hexdigest() for i, piece in enumerate(cut)}
    for file, piece in zip(sums, cut, strict=True):
        write_atomically(folder / file, piece)
    write_json(folder / MANIFEST, {**about, "runs": states, "pieces": sums})
    return states


def _checkpoints(run: Run) -> list[Path]:
    """Return a run's checkpoints, the newest last."""
    return sorted(path for path in run.checkpoints.glob("*") if CHECKPOINT.fullmatch(path.name))


def _files(run: Run) -> list[Path]:
    """Return the files of a run that are worth carrying; none where nothing is."""
    own = sorted(path for path in run.path.glob("*") if path.is_file() and MEMBER.fullmatch(f"{run.name}/{path.name}"))
    if run.finished:
        return own
    newest = _checkpoints(run)[-1:]
    return [*(path for path in own if path.name in ("config.json", "provenance.json")), *newest] if newest else []


def _state(run: Run) -> str:
    if run.damage:
        return f"damaged: {run.damage.reason}"
    return "finished" if run.finished else f"step {_step(_checkpoints(run)[-1].name)}"


def _step(file: str) -> int:
    found = CHECKPOINT.fullmatch(file)
    return int(found[1]) if found else -1


def unpack(folder: Path) -> dict[str, str]:
    """Put the runs of a packing into the store; return what became of each.

    A run that is finished in the store stays as it is, and so does one whose checkpoint there is of the same step or a
    later one. Nothing is written before everything is checked.

    Raises:
        InputError: the folder holds no whole packing, or one with files that no run has.
        RunLocked: a process is making one of the runs.
    """
    contents: dict[str, dict[str, bytes]] = {}
    for name, data in _members(folder).items():
        run, _, file = name.partition("/")
        contents.setdefault(run, {})[file] = data
    for name, files in contents.items():
        _check(folder, name, files)
    return {name: _put(Run(name), files) for name, files in sorted(contents.items())}


def _members(folder: Path) -> dict[str, bytes]:
    """Return the files of a packing by their paths, checked against `runs.json` and against what a run holds."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        sums = {f"{ARCHIVE}.{i}": manifest["pieces"][f"{ARCHIVE}.{i}"] for i in range(len(manifest["pieces"]))}
        cut = {file: (folder / file).read_bytes() for file in sums}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"folder = {str(folder)!r} is refused: it holds no whole packing ({error}).") from None
    for file, piece in cut.items():
        if hashlib.sha256(piece).hexdigest() != sums[file]:
            raise InputError(f"folder = {str(folder)!r} is refused: {file} is not what {MANIFEST} says.")
    try:
        with zipfile.ZipFile(io.BytesIO(b"".join(cut.values()))) as archive:
            for entry in archive.infolist():
                # stored, so that no small file grows without bound; the names are those of a run's files, nothing else
                if entry.compress_type != zipfile.ZIP_STORED or not MEMBER.fullmatch(entry.filename):
                    raise InputError(f"folder = {str(folder)!r} is refused: no run has a file {entry.filename!r}.")
            return {entry.filename: archive.read(entry) for entry in archive.infolist()}
    except zipfile.BadZipFile as error:
        raise InputError(f"folder = {str(folder)!r} is refused: {error}.") from None


def _check(folder: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Refuse a run whose own description is another's, or that is neither finished nor resumable."""
    try:
        about = json.loads(files["config.json"])
        fits = about["run"] == name and isinstance(json.loads(files["provenance.json"])["hardware"], dict)
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits or not ("metrics.json" in files or any(file.startswith("checkpoints/") for file in files)):
        raise InputError(f"folder = {str(folder)!r} is refused: its {name} is no run.")


def _put(run: Run, files: Mapping[str, bytes]) -> str:
    """Write a run's files; what says that it is finished comes last."""
    with runs.locked(run):
        if run.finished:
            return "finished here already"
        if run.damage:
            runs.set_aside(run)
        steps = [_step(path.name) for path in _checkpoints(run)]
        theirs = max((_step(file.removeprefix("checkpoints/")) for file in files), default=-1)
        if "metrics.json" not in files and max(steps, default=-1) >= theirs:
            return f"here already, at step {max(steps)}"
        for file in sorted(files, key=lambda file: file == "metrics.json"):
            path = run.path / file
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, files[file])
        if run.finished:
            shutil.rmtree(run.checkpoints, ignore_errors=True)
    return _state(run)
