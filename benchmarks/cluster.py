"""Run a study on a real cluster in this machine: Debian's Slurm with two nodes on loopback, one of which is taken away.

    python benchmarks/cluster.py [--small] [--only disturbed]

Needs root, the packages `slurm-wlm` and `munge`, and the Python package `snakemake-executor-plugin-slurm`; elsewhere it
says what is missing and does nothing. A Slurm that is configured here is left alone. A study of 60 runs in 12 jobs of
one thread goes through `profiles/slurm` twice, once undisturbed; and once node2 and all that works on it gets SIGKILL
in the middle. Both must end with the bits of the same study on this machine, and no run may be made twice.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from faults import content, finished, killed, made_twice, started

from kdlib.store import runs

STUDY: dict[str, Any] = {
    "title": "Cluster",
    "parameters": {"dataset": "digits:tiny", "architecture": "cnn8", "epochs": 40, "threads": 1, "seed": [*range(6)]},
    "teachers": {"plain": {}, "smooth": {"kind": "label_smoothing"}, "tuned": {"kind": "mcmi", "parent": "plain"}},
    "students": {
        "taught": {"teacher": ["plain", "smooth", "tuned"], "temperature": [1, 4]},
        "floor": {"teacher": "one_hot"},
    },
}
A_JOB, JOBS = 6, 12
"""Runs a job, and jobs at most."""
WAYS = ("undisturbed", "disturbed")
PROGRAMS = ("slurmctld", "slurmd", "sinfo", "munge", "munged", "runuser")
CONFIGURED = Path("/etc/slurm")
FILES = {
    "slurm.conf": """
ClusterName=kdlib
SlurmctldHost={host}(127.0.0.1)
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
SlurmctldPort=16817
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool/%n
SlurmctldPidFile={place}/run/slurmctld.pid
SlurmdPidFile={place}/run/slurmd-%n.pid
SlurmctldLogFile={place}/log/slurmctld.log
SlurmdLogFile={place}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={place}/log/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MpiDefault=none
MinJobAge=3600
SlurmdTimeout=30
KillWait=5
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
NodeName=node[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=node[1-2] Default=YES MaxTime=INFINITE State=UP
""",
    "cgroup.conf": """
CgroupPlugin=cgroup/v1
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=no
""",
}
OPTIONS = f"""
--profile slurm --config runs_per_job={A_JOB} threads=1 gpu=0 --jobs 4 --latency-wait 5
--slurm-status-command squeue --slurm-no-account --slurm-init-seconds-before-status-checks 5
--default-resources slurm_partition=main runtime=30 mem_mb=1500 cpus_per_task=1
""".split()
"""What the profile says of a large cluster with GPUs is said otherwise; without accounting, squeue knows of jobs."""


def missing() -> str:
    """Say why there can be no cluster here; nothing where there can be one."""
    if os.geteuid():
        return "only root can start one"
    if lacks := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"no {', '.join(lacks)}: apt-get install --no-install-recommends slurm-wlm munge"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "no snakemake_executor_plugin_slurm: pip install snakemake-executor-plugin-slurm"
    if any((CONFIGURED / name).exists() for name in FILES):
        return f"{CONFIGURED} configures a Slurm, which is left alone"
    return ""


@contextmanager
def cluster(place: Path) -> Iterator[None]:
    """Start two nodes and take everything away in the end."""
    for folder in ("log", "run", "state", "spool/node1", "spool/node2"):
        (place / folder).mkdir(parents=True)
    for seen in (place.parent, place):  # Slurm's own user looks into it
        seen.chmod(0o755)
    for folder in ("log", "state", "run"):
        shutil.chown(place / folder, "slurm")
    links = []
    own_munge = subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode != 0
    try:
        for name, text in FILES.items():
            (place / name).write_text(text.format(place=place, host=socket.gethostname().partition(".")[0]))
            (CONFIGURED / name).symlink_to(place / name)
            links.append(CONFIGURED / name)
        if own_munge:
            Path("/run/munge").mkdir(mode=0o755, exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            subprocess.run(["runuser", "-u", "munge", "--", shutil.which("munged") or "munged"], check=True)
        subprocess.run(["slurmctld"], check=True)
        for node in ("node1", "node2"):
            start_node(node)
        yield
    finally:
        for file in (place / "run").glob("*.pid"):
            end(int(file.read_text()))
        if own_munge:
            subprocess.run(["runuser", "-u", "munge", "--", shutil.which("munged") or "munged", "--stop"], check=False)
        for name in ("local", *WAYS):
            killed(place.parent / name)
        for link in links:
            link.unlink()


def start_node(node: str) -> None:
    """Start a node and wait until it is ready."""
    subprocess.run(["slurmd", "-N", node], check=True)
    for _ in range(120):
        said = subprocess.run(["sinfo", "-hN", "-n", node, "-o", "%t"], capture_output=True, text=True, check=False)
        if said.stdout.strip() in ("idle", "mix"):
            return
        time.sleep(1)
    raise SystemExit(f"The node {node} is not ready: {said.stdout} {said.stderr}")


def end(process: int) -> None:
    """Kill a process and all that came from it."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(re.sub(r".*\)", "", (place / "stat").read_text(), flags=re.S).split()[1])
        except OSError:  # gone
            continue
        children.setdefault(parent, []).append(int(place.name))
    todo = [process]
    while todo:
        one = todo.pop()
        todo += children.get(one, [])
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue


def take_away(place: Path, node: str) -> int:
    """Kill a node and the jobs on it; return how many there were."""
    said = subprocess.run(["squeue", "-h", "-w", node, "-o", "%A"], capture_output=True, text=True, check=True).stdout
    jobs = said.split()
    steps = [
        int(one.parent.name)
        for one in Path("/proc").glob("[0-9]*/cmdline")
        if one.exists() and (found := re.match(rb"slurmstepd: \[(\d+)", one.read_bytes())) and found[1].decode() in jobs
    ]
    daemon = place / "run" / f"slurmd-{node}.pid"
    for process in (int(daemon.read_text()), *steps):
        end(process)
    daemon.unlink()
    return len(jobs)


def job_seconds(place: Path, before: int) -> list[float]:
    """Return how long Slurm's jobs took that ended after some others."""
    lines = (place / "log" / "jobs.txt").read_text().splitlines()[before:]
    found = (re.search(r"StartTime=(\S+) EndTime=(\S+)", line) for line in lines)
    return [(datetime.fromisoformat(one[2]) - datetime.fromisoformat(one[1])).total_seconds() for one in found if one]


def seconds_of_runs(folder: Path) -> float:
    """Return how long the runs of a store took themselves."""
    os.environ["KDLIB_RUNS"] = str(folder / "runs")
    sessions = [one for name in runs.names() for one in runs.Run(name).provenance["sessions"]]
    return sum(one.get("seconds") or 0.0 for one in sessions)


def main() -> int:
    """Run the study three times and return the exit status: 0 if all ended as it should."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--small", action="store_true", help="two seeds: 20 runs in 7 jobs")
    options.add_argument("--only", default=",".join(WAYS), help="which of the two, both by default")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # not without taking the cluster away
    if why := missing():
        print(f"cluster: skipped, {why}.")
        return 0
    good = True
    with tempfile.TemporaryDirectory() as scratch, cluster(Path(scratch) / "slurm"):
        folder, place = Path(scratch), Path(scratch) / "slurm"
        study = folder / "cluster.yaml"
        if given.small:
            STUDY["parameters"]["seed"] = [0, 1]
        study.write_text(json.dumps(STUDY))
        begun = time.perf_counter()
        if finished(folder / "local", study, "--config", f"runs_per_job={A_JOB}") != 1:
            raise SystemExit((folder / "local" / "said.txt").read_text()[-2000:])
        alone, expected = time.perf_counter() - begun, content(folder / "local" / "runs")
        print(f"local: {len(expected)} runs, {alone:.0f} s, of them {seconds_of_runs(folder / 'local'):.0f} s in runs.")
        for name in given.only.split(","):
            log = place / "log" / "jobs.txt"
            own, before = folder / name, len(log.read_text().splitlines()) if log.exists() else 0
            begun, lost = time.perf_counter(), ""
            command = started(own, study, *OPTIONS)
            while name == "disturbed" and command.poll() is None and not lost:
                if len(list(own.glob("runs/*/metrics.json"))) >= len(expected) // 3:
                    lost = f"; node2 was taken away with {take_away(place, 'node2')} jobs"
                time.sleep(1)
            status, wall = command.wait(), time.perf_counter() - begun
            times = job_seconds(place, before)
            same, twice = content(own / "runs") == expected, made_twice(own / "runs")
            overhead = (sum(times) - seconds_of_runs(own)) / max(len(times), 1)
            print(
                f"{name}: exit status {status}, {wall:.0f} s, {len(times)} jobs, overhead {overhead:.0f} s a job; "
                f"{len(list(own.glob('runs/*/metrics.json')))} runs, {'identical' if same else 'DIFFERENT'}, "
                f"{len(twice)} made twice{lost}.",
                flush=True,
            )
            good &= same and not status and not twice and len(times) <= 2 * JOBS
            if status:
                print((own / "said.txt").read_text()[-3000:])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
