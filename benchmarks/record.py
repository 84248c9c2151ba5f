"""Run benches one after another and keep what each printed, with what it was made on.

    python benchmarks/record.py [synthetic distillation ...]

What is kept is `data/records/bench.json`, which git keeps and the book shows: an entry a bench, the latest run of it.
A number on a busy machine is worth little, so how busy it was when a bench began is kept too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kdlib.base import paths
from kdlib.base.files import write_json

SPEED = ("synthetic", "distillation", "grid", "variational", "laplace_predictive", "mcmi", "kill")
"""Those that `make bench` runs."""
HARM = ("faults", "cluster")
"""Those that break what can break, with commands of their own; a GPU's packs what it measures."""


def file() -> Path:
    """Return where the record is kept."""
    return paths.RECORDS / "bench.json"


def kept() -> dict[str, Any]:
    """Return the record that is kept, an entry a bench."""
    found: dict[str, Any] = json.loads(file().read_bytes()) if file().is_file() else {}
    return found


def run(script: Path) -> tuple[int, list[str]]:
    """Run a script, show what it prints, and return its status and its lines."""
    lines = []
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    return process.returncode, lines


def made_on() -> dict[str, Any]:
    """Return what a bench is about to be measured on."""
    from kdlib.store.runs import commit
    from kdlib.training import hardware

    return {
        "commit": commit(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "processor": hardware.processor(hardware.device_of("cpu")),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "versions": hardware.versions(),
    }


def main(given: list[str] | None = None) -> int:
    """Run what is asked for; keep what succeeds, and stop at what fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = (*SPEED, *HARM)
    parser.add_argument("benches", nargs="*", metavar="bench", help=f"of {', '.join(known)}; those of speed by default")
    asked = parser.parse_args(given).benches or SPEED
    for name in asked:
        if name not in known:
            parser.error(f"{name!r} is refused: allowed are {', '.join(known)}.")
    from kdlib.store.runs import now

    for name in asked:
        print(f"== {name}", flush=True)
        about, started = made_on(), time.perf_counter()
        status, lines = run(paths.ROOT / "benchmarks" / f"{name}.py")
        if status:
            return status
        if lines and lines[0].startswith(f"{name}: skipped"):  # this machine lacks what it needs
            continue
        entry = {**about, "finished": now(), "lines": lines, "seconds": round(time.perf_counter() - started, 1)}
        write_json(file(), {**kept(), name: entry})
    print(file())
    return 0


if __name__ == "__main__":
    sys.exit(main())
