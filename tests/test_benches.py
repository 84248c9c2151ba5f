"""The benches that do harm: what they run can be planned, and where they cannot run they say why."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kdlib.base import paths
from kdlib.runs import studies
from kdlib.study import jobs


@pytest.fixture
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a script of benchmarks/ as a module; what it sets in the environment is gone afterwards."""
    monkeypatch.syspath_prepend(str(paths.ROOT / "benchmarks"))
    for name in ("KDLIB_SAVE_EVERY", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    for name in ("faults", "cluster"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__(request.param)


@pytest.mark.parametrize("bench", ["cluster"], indirect=True)
def test_the_cluster_s_study(bench: ModuleType, store: Path, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(json.dumps(bench.STUDY))
    made = jobs.jobs_of(studies.load(str(tmp_path / "cluster.yaml")), bench.A_JOB)
    assert len({run for job in made.values() for run in job.runs}) == 60 and len(made) <= bench.JOBS


@pytest.mark.parametrize("bench", ["cluster"], indirect=True)
def test_a_cluster_needs_root_and_programs(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cluster.py"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert bench.main() == 0
    assert capsys.readouterr().out == "cluster: skipped, only root can start one.\n"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bench.missing().startswith("no slurmctld, slurmd, sinfo, munge, munged, runuser: apt-get install ")


@pytest.mark.parametrize("bench", ["faults"], indirect=True)
def test_every_harm_changes_a_file(bench: ModuleType, tmp_path: Path) -> None:
    path, moments, ways = tmp_path / "step-000000001.safetensors", random.Random(0), set()
    before = random.Random(1).randbytes(2000)
    for _ in range(60):
        path.write_bytes(before)
        ways.add(bench.harmed(path, moments))
        assert not path.exists() or path.read_bytes() != before
    assert ways == {"cut", "flipped", "zeroed", "lost", "swapped"}


@pytest.mark.parametrize("bench", ["faults"], indirect=True)
def test_the_study_that_is_harmed(bench: ModuleType, store: Path, tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text(bench.STUDY)
    made = jobs.jobs_of(studies.load(str(tmp_path / "faults.yaml")), 16)
    assert len({run for job in made.values() for run in job.runs}) == 12
