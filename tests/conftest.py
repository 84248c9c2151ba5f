"""Fixtures that several test files use."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdlib import paths


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder with the real CIFAR files, or skip where there is none."""
    root = paths.data_root()
    if not (root / "cifar100").is_dir() or not (root / "cifar10").is_dir():
        pytest.skip(f"no cifar10/ and cifar100/ in the data root {root}: the tests on real images need both")
    return root


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a run store of its own and return its folder."""
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"
