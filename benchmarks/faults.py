"""Do harm to studies, stores and checkpoints, let things go on, and compare them with what nothing disturbed.

    python benchmarks/faults.py [--small] [--only study,disk,checkpoints,processes] [--seed 0]

- study: a study's processes get SIGKILL at random moments, in half of the cases the first of them alone, whose jobs
  go on without it; then the same command runs again.
- disk: the store lies on a disk of some 100 kB, which fills up at every step of a run and is enlarged bit by bit. Needs
  root, which can mount one.
- checkpoints: those of an interrupted run are cut, flipped, zeroed and lost, one or both of them.
- processes: two to eight at once on one run and on one study.

All end with the same bits as undisturbed ones, no run is made twice, and what stops a process is one sentence.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["KDLIB_SAVE_EVERY"] = "0"  # as often as a save is cheap
os.environ.setdefault("OMP_NUM_THREADS", "1")

# what a run imports when it is measured and written: here once, so that every process starts with it
import pandas.io.parquet  # noqa: F401
import torchmetrics.functional.classification  # noqa: F401

from kdlib.base import paths
from kdlib.base.errors import KdlibError, RunLocked
from kdlib.base.tensors import digest, read_tensors
from kdlib.runs.execute import execute
from kdlib.runs.recipes import resolve
from kdlib.store import runs

SHARED: dict[str, Any] = {"dataset": "digits:tiny", "architecture": "cnn8", "threads": 1}
STUDENT = {"temperature": 2, "kd_weight": 0.5}
STUDY = """
title: Faults
parameters: {dataset: "digits:tiny", architecture: cnn8, epochs: 60, threads: 1, seed: [0, 1]}
teachers: {plain: {}, tuned: {kind: mcmi, parent: plain, epochs: 20}}
students: {distilled: {teacher: [one_hot, plain], temperature: [1, 4]}}
measures: {again: {parent: plain}}
"""
TRIES = 30
"""Times that a command is given again, at most, until everything is made."""
FORK = multiprocessing.get_context("fork")


def content(store: Path) -> dict[str, Any]:
    """Return all that must be identical of every run in a store; as text, NaN equals itself."""
    os.environ["KDLIB_RUNS"] = str(store)
    found = {}
    for run in map(runs.Run, runs.names()):
        tensors = {file.name: digest(read_tensors(file)[0], "") for file in sorted(run.path.glob("*.safetensors"))}
        found[run.name] = [tensors, repr(run.history().to_dict("list")), run.metrics if run.finished else None]
    return found


def made_twice(store: Path) -> list[str]:
    """Return the runs that more than one session has finished."""
    os.environ["KDLIB_RUNS"] = str(store)
    found = {name: runs.Run(name).provenance["sessions"] for name in runs.names()}
    return [name for name, sessions in found.items() if sum("seconds" in one for one in sessions) > 1]


def make(store: Path, seed: int, epochs: int) -> None:
    """Make a teacher and its student, as far as they are not there; a refusal is the exit status 2."""
    os.environ["KDLIB_RUNS"] = str(store)
    warnings.simplefilter("ignore")
    shared = {**SHARED, "seed": seed, "epochs": epochs}
    try:
        teacher = execute(resolve("teacher", shared))
        execute(resolve("student", {**shared, **STUDENT, "teacher": teacher.name}))
    except RunLocked:
        sys.exit(3)
    except KdlibError as error:
        sys.exit(2 if len(str(error).splitlines()) == 1 else 4)


def attempt(*given: Any, seconds: float | None = None) -> int:
    """Make runs in a process of their own, killed after some seconds; return its exit status."""
    process = FORK.Process(target=make, args=given)
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode or 0


def started(folder: Path, file: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a study whose runs, jobs and pages lie in a folder; what it says goes to a file there."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {f"KDLIB_{name.upper()}": str(folder / name) for name in ("runs", "jobs", "pages")}
    said = (folder / "said.txt").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", "kdlib", "study", str(file), *options],
        cwd=paths.ROOT,
        env={**os.environ, **places, "PYTHONPATH": f"{paths.ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=said,
        stderr=said,
    )


def belonging(folder: Path) -> list[int]:
    """Return the processes that work in a folder: what a study started, kernels with sessions of their own too."""
    mark, found = f"KDLIB_RUNS={folder / 'runs'}\0".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (place / "environ").read_bytes() and int(place.name) != os.getpid():
                found.append(int(place.name))
        except OSError:  # gone
            continue
    return found


def killed(folder: Path) -> None:
    """Kill all that works in a folder."""
    while found := belonging(folder):
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def finished(folder: Path, file: Path, *options: str) -> int:
    """Give the command of a study again until it succeeds; return how often it was given."""
    for count in range(1, TRIES + 1):
        if started(folder, file, *options).wait() == 0:
            return count
        time.sleep(1)
    return TRIES + 1


@contextmanager
def straight_study(scratch: Path) -> Iterator[tuple[Path, dict[str, Any], float]]:
    """Give a study's file, what it makes undisturbed and how long that takes."""
    file = scratch / "faults.yaml"
    file.write_text(STUDY)
    begun = time.perf_counter()
    if finished(scratch / "straight", file) != 1:
        raise SystemExit((scratch / "straight" / "said.txt").read_text()[-2000:])
    yield file, content(scratch / "straight" / "runs"), time.perf_counter() - begun


def study(scratch: Path, small: bool, moments: random.Random) -> bool:
    """Kill a study at random moments."""
    counts = Counter[str]()
    cases = 1 if small else 10
    with straight_study(scratch) as (file, expected, seconds):
        for case in range(cases):
            folder = scratch / f"study-{case}"
            for _ in range(1 if small else moments.randint(1, 4)):
                command = started(folder, file)
                try:
                    command.wait(moments.uniform(0, seconds))
                except subprocess.TimeoutExpired:
                    counts["kills"] += 1
                    command.kill()
                    if moments.random() < 0.5:
                        killed(folder)
                        counts["of all its processes"] += 1
            counts["commands"] += finished(folder, file)
            killed(folder)
            counts["identical"] += content(folder / "runs") == expected
            counts["twice"] += len(made_twice(folder / "runs"))
    print(
        f"study: {counts['identical']} of {cases} identical, each of {len(expected)} runs; {counts['kills']} kills, "
        f"{counts['of all its processes']} of all its processes; {counts['commands']} commands until all was made, "
        f"{counts['twice']} runs made twice.",
        flush=True,
    )
    return counts["identical"] == cases and not counts["twice"]


def disk(scratch: Path, small: bool, moments: random.Random) -> bool:
    """Fill a disk up and enlarge it."""
    place = scratch / "disk"
    place.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "kdlib", place], check=False).returncode
    ):
        print("disk: skipped, only root can mount one, and not in every container.", flush=True)
        return True
    counts = Counter[str]()
    cases = 2 if small else 20
    try:
        for case in range(cases):
            expected, size = straight(scratch, case), moments.randint(16, 160)
            status = 2
            while status == 2 and size < 4096:
                subprocess.run(["mount", "-o", f"remount,size={size}k", place], check=True)
                status = attempt(place / "runs", case, 20)
                counts["full"] += status == 2
                size += moments.randint(4, 40)
            counts["identical"] += status == 0 and content(place / "runs") == expected
            shutil.rmtree(place / "runs", ignore_errors=True)
    finally:
        subprocess.run(["umount", place], check=True)
    print(f"disk: {counts['identical']} of {cases} identical; the disk was full {counts['full']} times.", flush=True)
    return counts["identical"] == cases


def straight(scratch: Path, seed: int, epochs: int = 20) -> dict[str, Any]:
    """Return what a seed's runs are undisturbed."""
    store = scratch / f"straight-{seed}-{epochs}"
    if attempt(store, seed, epochs):
        raise SystemExit("An undisturbed run was refused.")
    return content(store)


def checkpoints(scratch: Path, small: bool, moments: random.Random) -> bool:
    """Harm the checkpoints of interrupted runs."""
    counts = Counter[str]()
    cases, epochs = (5 if small else 100), 200
    for case in range(cases):
        seed = case // 5
        if case % 5 == 0:
            begun = time.perf_counter()
            expected = straight(scratch, seed, epochs)
            seconds, source = time.perf_counter() - begun, scratch / f"interrupted-{seed}"
            while not list(source.glob("*/checkpoints/step-*.safetensors")):
                shutil.rmtree(source, ignore_errors=True)
                attempt(source, seed, epochs, seconds=moments.uniform(0, seconds))
        store = scratch / f"harmed-{case}"
        shutil.copytree(source, store)
        files = sorted(store.glob("*/checkpoints/step-*.safetensors"))
        for file in moments.sample(files, moments.randint(1, len(files))):
            way = harmed(file, moments)
            counts[way] += 1
        counts["identical"] += attempt(store, seed, epochs) == 0 and content(store) == expected
    ways = ", ".join(f"{counts[way]} {way}" for way in ("cut", "flipped", "zeroed", "lost", "swapped"))
    print(f"checkpoints: {counts['identical']} of {cases} identical; {ways}.", flush=True)
    return counts["identical"] == cases


def harmed(file: Path, moments: random.Random) -> str:
    """Harm one file in a random way, and return which."""
    data = bytearray(file.read_bytes())
    place, way = moments.randrange(len(data)), moments.choice(("cut", "flipped", "zeroed", "lost", "swapped"))
    if way == "lost":
        file.unlink()
        return way
    if way == "cut":
        del data[place:]
    elif way == "flipped":
        data[place] ^= 1 << moments.randrange(8)
    elif way == "zeroed":
        data[place:] = bytes(len(data) - place)
    else:  # two halves in the wrong order
        data = data[place:] + data[:place]
    file.write_bytes(data)
    return way


def processes(scratch: Path, small: bool, moments: random.Random) -> bool:
    """Let several processes make the same runs at once."""
    counts = Counter[str]()
    sizes = (2, 4) if small else (2, 3, 4, 5, 6, 7, 8)
    for size in sizes:
        expected, store = straight(scratch, size, 60), scratch / f"shared-{size}"
        waiting = size
        while waiting:  # who was told that the run is being made comes again
            several = [FORK.Process(target=make, args=(store, size, 60)) for _ in range(waiting)]
            for process in several:
                process.start()
            for process in several:
                process.join()
            counts["told to wait"] += sum(process.exitcode == 3 for process in several)
            counts["failed"] += sum(process.exitcode not in (0, 3) for process in several)
            waiting = sum(process.exitcode == 3 for process in several)
        counts["identical"] += content(store) == expected
        counts["twice"] += len(made_twice(store))
    print(
        f"processes on one run: {counts['identical']} of {len(sizes)} identical, {sizes[0]} to {sizes[-1]} at once; "
        f"{counts['told to wait']} told to wait, {counts['failed']} failed, {counts['twice']} runs made twice.",
        flush=True,
    )
    good = counts["identical"] == len(sizes) and not counts["failed"] and not counts["twice"]
    counts.clear()
    sizes = (2,) if small else (2, 4, 8)
    with straight_study(scratch) as (file, expected, _):
        for size in sizes:
            folder = scratch / f"studies-{size}"
            for command in [started(folder, file) for _ in range(size)]:
                counts["ended early"] += command.wait() != 0
            counts["commands"] += size + finished(folder, file)
            counts["identical"] += content(folder / "runs") == expected
            counts["twice"] += len(made_twice(folder / "runs"))
    print(
        f"processes on one study: {counts['identical']} of {len(sizes)} identical, {sizes[0]} to {sizes[-1]} at once; "
        f"{counts['ended early']} of {counts['commands']} commands ended early, {counts['twice']} runs made twice.",
        flush=True,
    )
    return good and counts["identical"] == len(sizes) and not counts["twice"]


PARTS: dict[str, Callable[[Path, bool, random.Random], bool]] = {
    "study": study, "disk": disk, "checkpoints": checkpoints, "processes": processes,
}  # fmt: skip


def main() -> int:
    """Do all parts and return the exit status: 0 if everything ended as it does undisturbed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--small", action="store_true", help="a few cases of each, in some minutes")
    options.add_argument("--only", default=",".join(PARTS), help="parts, joined by commas")
    options.add_argument("--seed", type=int, default=0, help="seed of the moments")
    given = options.parse_args()
    good = True
    for name in given.only.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            begun = time.perf_counter()
            good &= PARTS[name](Path(scratch), given.small, random.Random(f"{name} {given.seed}"))
            print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
