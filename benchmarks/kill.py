"""Kill runs at random moments, let them go on, and compare them with runs that nothing disturbed.

    python benchmarks/kill.py [--runs 20] [--epochs 30] [--seed 0]

Each run is a student and its teacher in a store of its own. Its process gets SIGKILL one to four times, at moments
spread over the time that the undisturbed run took (start and measurement included); then it may finish. It counts
as identical if the weights, histories, predictions and metrics of both networks agree in every bit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["KDLIB_SAVE_EVERY"] = "0"  # as often as a save is cheap
os.environ.setdefault("OMP_NUM_THREADS", "1")

# what a run imports when it is measured and written: here once, so that every process starts with it
import pandas.io.parquet  # noqa: F401
import torchmetrics.functional.classification  # noqa: F401

from kdlib.base.tensors import digest
from kdlib.runs.execute import execute
from kdlib.runs.recipes import resolve
from kdlib.store import runs

NETWORK: dict[str, Any] = {"dataset": "digits", "architecture": "cnn4", "threads": 1}
STUDENT = {"temperature": 2, "kd_weight": 0.5}
MOST = 4
"""Kills a run, at most."""


def make(store: Path, seed: int, epochs: int) -> None:
    """Make the runs of a seed, as far as they are not there."""
    os.environ["KDLIB_RUNS"] = str(store)
    shared = {**NETWORK, "seed": seed, "epochs": epochs}
    teacher = execute(resolve("teacher", shared))
    execute(resolve("student", {**shared, **STUDENT, "teacher": teacher.name}))


def attempt(store: Path, seed: int, epochs: int, seconds: float | None) -> bool:
    """Make the runs in a process of their own, killed after some seconds; return whether it was."""
    process = multiprocessing.get_context("fork").Process(target=make, args=(store, seed, epochs))
    process.start()
    process.join(seconds)
    alive = process.is_alive()
    if alive:
        process.kill()
        process.join()
    elif process.exitcode:
        raise SystemExit(f"A run that went on ended with exit status {process.exitcode}.")
    return alive


def content(store: Path) -> dict[str, Any]:
    """Return all that must be identical of every run in a store; as text, NaN equals itself."""
    os.environ["KDLIB_RUNS"] = str(store)
    found = {name: runs.Run(name) for name in runs.names()}
    return {
        name: [
            digest(run.weights(), ""),
            digest(run.predictions(), ""),
            repr(run.history().to_dict("list")),
            run.metrics,
        ]
        for name, run in found.items()
    }


def main() -> int:
    """Compare runs and return the exit status: 0 if all are identical."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--seed", type=int, default=0, help="seed of the moments")
    given = options.parse_args()
    moments = random.Random(given.seed)
    identical = kills = 0
    for seed in range(given.runs):
        with tempfile.TemporaryDirectory() as scratch:
            straight, disturbed = Path(scratch, "straight"), Path(scratch, "disturbed")
            started = time.perf_counter()
            attempt(straight, seed, given.epochs, None)
            seconds = time.perf_counter() - started
            hits = 0
            while hits < MOST:
                if attempt(disturbed, seed, given.epochs, moments.uniform(0, seconds)):
                    hits += 1
                elif hits:
                    break
                else:  # done before its moment, which tells nothing: anew
                    shutil.rmtree(disturbed)
            attempt(disturbed, seed, given.epochs, None)
            expected = content(straight)
            same = len(expected) == 2 and content(disturbed) == expected
        identical, kills = identical + same, kills + hits
        print(f"run {seed}: {seconds:.1f} s, killed {hits} times, {'identical' if same else 'DIFFERENT'}", flush=True)
    print(f"{identical} of {given.runs} runs are bit-identical to undisturbed ones; {kills} kills.")
    return 0 if identical == given.runs else 1


if __name__ == "__main__":
    sys.exit(main())
