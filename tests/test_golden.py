"""What no change of layout may change: the names of recorded runs, and the verdicts as they are printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden import write

from kdlib.base import paths
from kdlib.runs import studies
from kdlib.study import labels
from kdlib.study.labels import plans_of


def lines(name: str) -> list[str]:
    return (Path(write.__file__).parent / name).read_text().splitlines()


def test_studies_expand_to_the_recorded_names() -> None:
    expanded = {planned.name for name in ("digits", "digits-choosing") for _, planned in plans_of(studies.load(name))}
    assert not set(lines("names.txt")) - expanded


def test_kept_labels_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m kdlib labels` writes them anew."""
    monkeypatch.setattr(paths, "RECORDS", paths.DATA / "records")
    for study in map(studies.load, studies.names()):
        assert study.scratch or labels._kept(study) == labels.expanded(study)


def test_verdicts_are_printed_as_they_were(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "RECORDS", paths.DATA / "records")
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path))
    assert write.verdicts() == lines("verdicts.txt")
