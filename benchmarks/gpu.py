"""What is worth doing on a GPU in a given time, as one command: `make gpu SECONDS=700`.

    python benchmarks/gpu.py [--seconds 700] [--study cifar100-paper-mcmi] [--teacher resnet56] [--student resnet20]
                             [--out data/gpu] [--mib 112] [--after folder] [--dry]

1. the tests marked `cuda`;
2. images per second of training steps beside a plain loop, and of several trainings at once (`gpu_speed.py`);
3. the study's runs of that pair of networks, seed by seed, as many side by side as paid in 2, until the time is up:
   the teacher, MCMI from it, their students on 5 % of the images, then on all, and the one-hot student. What is not
   finished then keeps its newest checkpoint and goes on the next time;
4. those runs, finished or not, packed into at most eight files of 16 MiB, with where they come from
   (`python -m kdlib unpack <folder>` puts them into another store).

`--after` names the packing of another time: its runs go on, and what it measured on the same card is not measured
again. `--dry` says what would be done and packs a tiny run made on the CPU. Without a GPU there is nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

try:
    import torch

    from kdlib.base import paths
    from kdlib.base.config import RunType
    from kdlib.base.errors import KdlibError
    from kdlib.runs import studies
    from kdlib.runs.execute import execute
    from kdlib.runs.plans import Plan, plan
    from kdlib.runs.recipes import resolve
    from kdlib.store import packing, runs
    from kdlib.students.config import StudentConfig
    from kdlib.teachers.kind import TeacherConfig
    from kdlib.training import hardware
except ModuleNotFoundError as absent:
    print(f"make gpu: nothing is done, for {sys.executable} has no {absent.name}; GPU_PYTHON names another Python.")
    raise SystemExit(0 if absent.name == "torch" else 2) from None

HERE = Path(__file__).resolve().parent
AT_MOST = {"tests": (0.2, 120.0), "speed": (0.3, 200.0), "pack": (0.1, 30.0)}
"""Of each step but the runs, its largest share of the time and the most seconds; the runs get what is left."""
FRACTIONS, TEMPERATURE = (0.05, 1.0), 4.0
KINDS = ("deterministic", "mcmi")
GRACE = 20.0
"""Seconds in which a training that was asked to stop writes its checkpoint; they are part of packing's."""


def budget(seconds: float) -> dict[str, float]:
    """Return the seconds of each step, in order; together they are all there are."""
    fixed = {step: min(most, share * seconds) for step, (share, most) in AT_MOST.items()}
    left = seconds - sum(fixed.values())
    return {"tests": fixed["tests"], "speed": fixed["speed"], "runs": left, "pack": fixed["pack"]}


def lineage(planned: Plan) -> list[Plan]:
    """Return a run after its parents and theirs."""
    return [*(one for parent in planned.parents.values() for one in lineage(parent)), planned]


def chosen(study: studies.Study, teacher: str, student: str) -> list[Plan]:
    """Return the study's runs of a pair of networks in the order in which they are worth most, parents first."""

    def wanted(config: StudentConfig) -> bool:
        same = config.architecture == student and config.framework == "kd" and not config.omit_classes
        tempered = config.teacher == "one_hot" or config.temperature == TEMPERATURE
        return same and tempered and config.fraction in FRACTIONS

    def taught(planned: Plan) -> bool:
        of = [parent.config for parent in planned.parents.values()]
        return all(isinstance(c, TeacherConfig) and c.architecture == teacher and c.kind in KINDS for c in of)

    configs = [c for entry in study.entries if entry.run_type is RunType.STUDENT for c in entry.configs()]
    found = [plan(c) for c in configs if isinstance(c, StudentConfig) and c.teacher != "exact_bcp" and wanted(c)]
    students = sorted(filter(taught, found), key=lambda p: (p.config.seed, not p.parents, p.config.fraction))
    return list({one.name: one for planned in students for one in lineage(planned)}.values())


def carry_out(
    planned: Sequence[Plan], workers: int, stop: Callable[[], bool], graphs: bool, folder: Path
) -> dict[str, str]:
    """Make runs, each in a process, a few side by side, until all are made or `stop()` says so.

    A run begins when its parents are finished; one that fails is not tried again. When told to stop, the processes are
    asked to, which leaves each a checkpoint.

    Returns:
        the last line that each run that failed has printed.
    """
    running: dict[str, subprocess.Popen[bytes]] = {}
    failed: dict[str, str] = {}

    def begin(one: Plan) -> None:
        file = folder / f"{one.name}.json"
        config = {**one.config.model_dump(mode="json"), "compile": graphs}
        file.write_text(json.dumps({"run_type": str(one.config.run_type), "config": config}))
        command = [sys.executable, "-m", "kdlib", "run", str(file)]
        with file.with_suffix(".log").open("wb") as log:
            running[one.name] = subprocess.Popen(command, cwd=paths.ROOT, stdout=log, stderr=subprocess.STDOUT)

    def collect() -> None:
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                if process.returncode and not runs.Run(name).finished:
                    lines = (folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
                    failed[name] = lines[-1] if lines else f"exit status {process.returncode}"

    try:
        while not stop():
            collect()
            open_ = [p for p in planned if not (p.run.finished or p.name in failed or p.name in running)]
            ready = [p for p in open_ if all(parent.run.finished for parent in p.parents.values())]
            for one in ready[: workers - len(running)]:
                begin(one)
            if not running:
                break
            time.sleep(0.2)
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + GRACE
        for process in running.values():
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
    return failed


def provenance() -> dict[str, Any]:
    """Return what this was measured on and with."""
    asked = "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"
    try:
        card = subprocess.run(["nvidia-smi", *asked], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        card = ""
    device = hardware.device_of(None)
    about: dict[str, Any] = {"processor": hardware.processor(device), "card": card.strip(), "cuda": torch.version.cuda}
    return {
        **about,
        "cores": os.cpu_count(),
        "versions": hardware.versions(),
        "commit": runs.commit(),
        "at": runs.now(),
    }


def asked(name: str, command: Sequence[str], seconds: float) -> tuple[int | None, list[str]]:
    """Run a command for so long at most; return its exit status, `None` if it was cut off, and its last lines."""
    process = subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)  # fmt: skip
    try:
        out, _ = process.communicate(timeout=max(1.0, seconds))
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
        out, status = process.communicate()[0], None
    print(f"{name}: {'cut off after its time' if status is None else f'exit status {status}'}\n{out}", flush=True)
    return status, out.strip().splitlines()[-40:]


def as_many_as_pay(rates: Sequence[dict[str, Any]], what: str = "teacher") -> int:
    """Return how many trainings at once gave the most images a second, fewer where a tenth more is not gained."""
    best, most = 1, 0.0
    for row in rates:  # in order of their number
        if row["what"] == what and row["how"] == "together" and row.get("images_per_second", 0.0) > 1.1 * most:
            best, most = row["processes"], row["images_per_second"]
    return best


def rate(rates: Sequence[dict[str, Any]], what: str, how: str) -> float:
    """Return the images a second that one training reached."""
    return sum(float(r.get("images_per_second", 0.0)) for r in rates if (r["what"], r["how"]) == (what, how))


def on_the_card(given: argparse.Namespace, planned: Sequence[Plan], started: float) -> int:
    """Do the four steps; return the exit status: 1 if a test failed."""
    spans, about = budget(given.seconds), provenance()
    name = planned[0].config.dataset if planned else ""
    decode = f"from kdlib import data; data.load({name!r})"  # once, and not in each run
    cache = subprocess.Popen([sys.executable, "-c", decode], cwd=paths.ROOT) if planned else None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tests = [sys.executable, "-m", "pytest", "-m", "cuda", "tests/test_cuda.py", "-p", "no:cacheprovider"]
        status, lines = asked("tests", tests, spans["tests"])
        out, rates = folder / "rates.jsonl", measured_before(given.after, about["card"])
        if not rates:
            speed = [sys.executable, str(HERE / "gpu_speed.py"), "--out", str(out)]
            asked("speed", [*speed, "--teacher", given.teacher, "--student", given.student], spans["speed"])
            rates = [json.loads(line) for line in out.read_text().splitlines()] if out.is_file() else []
        # replayed passes only where the tests, which compare them with launched ones, have passed
        graphs = status == 0 and rate(rates, "teacher", "graphs") > rate(rates, "teacher", "library")
        workers, end = as_many_as_pay(rates), started + given.seconds - spans["pack"]
        failed: dict[str, str] = {}
        try:
            loads = cache is not None and cache.wait(max(1.0, end - time.monotonic())) == 0
        except subprocess.TimeoutExpired:
            loads = False
        if loads:
            print(f"runs: {workers} at once, {'replayed' if graphs else 'launched'}, {end - time.monotonic():.0f} s")
            failed = carry_out(planned, workers, lambda: time.monotonic() > end, graphs, folder)
        elif cache is not None:
            cache.kill()
            failed = dict.fromkeys((p.name for p in planned), f"the dataset {name} could not be loaded")
    about |= {"tests": {"status": status, "lines": lines}, "rates": rates, "failed": failed, "study": given.study}
    about |= {"at_once": workers, "graphs": graphs, "seconds": round(time.monotonic() - started, 1)}
    names, most = [p.name for p in planned], int(given.mib * 2**20)
    for run, state in packing.pack(names, given.out, about, most).items():
        print(f"{run}  {failed.get(run, state)}")
    print(f"packed in {given.out} after {time.monotonic() - started:.0f} of {given.seconds:.0f} s")
    return int(status != 0)


def measured_before(folder: Path | None, card: str) -> list[dict[str, Any]]:
    """Return the rates that a packing of another time measured on such a card, or none."""
    if folder is None:
        return []
    about = json.loads((folder / packing.MANIFEST).read_text())
    return list(about.get("rates", [])) if about.get("card") == card else []


def dry(given: argparse.Namespace, planned: Sequence[Plan]) -> int:
    """Say what would be done in how much time, and pack and unpack a tiny run made on the CPU."""
    for number, (step, seconds) in enumerate(budget(given.seconds).items(), 1):
        print(f"{number}. {step}: {seconds:.0f} s")
    print(f"{len(planned)} runs of study {given.study}, in this order:")
    for one in planned:
        again = resolve(one.config.run_type, one.config.model_dump(mode="json"))
        assert plan(again).name == one.name, "a run's own config means another run"
        print(f"  {one.name}{'  finished' if one.run.finished else ''}")
    before = os.environ.get("KDLIB_RUNS")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["KDLIB_RUNS"] = str(Path(scratch, "here"))
        tiny = {"dataset": "digits:tiny", "architecture": "cnn4", "epochs": 1, "threads": 1, "device": "cpu"}
        name = execute(resolve(RunType.TEACHER, tiny)).name
        packed = Path(scratch, "packed")
        packing.pack([name], packed, provenance())
        size = sum(file.stat().st_size for file in packed.iterdir())
        os.environ["KDLIB_RUNS"] = str(Path(scratch, "there"))
        print(f"a tiny run, packed into {size} bytes and unpacked: {packing.unpack(packed)[name]}")
    os.environ.pop("KDLIB_RUNS")
    if before is not None:
        os.environ["KDLIB_RUNS"] = before
    return 0


def main() -> int:
    """Parse the command line and return the exit status."""
    started = time.monotonic()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=700)
    options.add_argument("--study", default="cifar100-paper-mcmi")
    options.add_argument("--teacher", default="resnet56")
    options.add_argument("--student", default="resnet20")
    options.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or paths.DATA / "gpu"))
    options.add_argument("--mib", type=float, default=packing.MOST / 2**20, help="MiB that are packed, at most")
    options.add_argument("--after", type=Path, help="the folder of a packing to go on from")
    options.add_argument("--dry", action="store_true", help="only say what would be done")
    given = options.parse_args()
    if not given.dry and not torch.cuda.is_available():
        print(f"make gpu: nothing is done, for PyTorch {torch.__version__} finds no GPU here.")
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # trainings side by side share the processor
    if given.after and not given.dry:
        packing.unpack(given.after)
    planned = chosen(studies.load(given.study), given.teacher, given.student)
    return dry(given, planned) if given.dry else on_the_card(given, planned, started)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KdlibError as error:
        sys.exit(f"make gpu: {error}")
