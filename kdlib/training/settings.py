"""Where and how a run computes, as its provenance keeps it. (No torch.)"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Device, precision, memory format, threads: what decides the bits of a run."""

    device: str
    precision: str
    channels_last: bool
    threads: int
    compile: bool
    name: str
    """Of the processor."""

    def as_dict(self) -> dict[str, Any]:
        """Return the settings for a provenance file."""
        return asdict(self)
