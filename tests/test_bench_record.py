"""What `make bench` keeps, and the page that shows it."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from kdlib.base import paths


def loaded(file: str) -> ModuleType:
    """Return a file outside the package as a module."""
    spec = importlib.util.spec_from_file_location(Path(file).stem + "_here", paths.ROOT / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


record, page = loaded("benchmarks/record.py"), loaded("book/_ext/benches.py")


def test_every_bench_stands_on_the_page_once() -> None:
    text = (paths.ROOT / "book" / "benchmarks.md").read_text()
    shown = [name for names in re.findall(r"\{benches\} (.*)", text) for name in names.split()]
    there = {path.stem for path in (paths.ROOT / "benchmarks").glob("*.py")} - {"record"}
    assert sorted(shown) == sorted(there)
    recorded = [tuple(names.split()) for names in re.findall(r"\{benches\} (.*)\n:recorded:", text)]
    assert recorded == [record.SPEED, record.HARM]
    bounds = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert set(bounds) == there - {"faults", "cluster", "gpu", "kill"}


@pytest.mark.parametrize("name", sorted(path.stem for path in (paths.ROOT / "benchmarks").glob("*.py")))
def test_a_bench_says_what_it_measures(name: str) -> None:
    assert len(page.docstring(name).split()) > 20


def test_a_record_is_kept_with_what_it_was_made_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "mcmi.py").write_text("print('plain 2.0 ms')\nprint('ours 2.1 ms  1.050 x')\n")
    (tmp_path / "benchmarks" / "kill.py").write_text("raise SystemExit(3)\n")
    assert page.kept() == record.kept() == {}
    assert record.main(["mcmi"]) == 0
    (entry,) = page.kept().values()
    assert entry["lines"] == ["plain 2.0 ms", "ours 2.1 ms  1.050 x"]
    assert {"commit", "cores", "load", "processor", "versions", "finished", "seconds"} <= entry.keys()
    assert f"with a load of {entry['load']} before" in page.provenance(entry)
    before = json.loads(record.file().read_text())
    (tmp_path / "benchmarks" / "cluster.py").write_text("print('cluster: skipped, no Slurm.')\n")
    assert record.main(["cluster"]) == 0 and page.kept().keys() == {"mcmi"}
    assert record.main(["kill"]) == 3 and json.loads(record.file().read_text()) == before  # what fails is not kept


def test_what_is_no_bench_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        record.main(["gpu"])
    assert "'gpu' is refused: allowed are synthetic," in capsys.readouterr().err
    assert sys.modules.get("record_here") is None
