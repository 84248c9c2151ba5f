"""What users type: paths, which are made whole where they are read. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdlib.base import paths
from kdlib.data.families import FAMILIES
from kdlib.students.config import WEIGHTS

BEFORE = (*(family.name for family in FAMILIES.values() if family.at_path), WEIGHTS.removesuffix(":"))
"""What stands before the path of a dataset, or of a teacher."""


def names_path(value: object) -> bool:
    """Say whether a value is a path with its sort before it."""
    return str(value).partition(":")[0] in BEFORE


def with_whole_paths(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with their paths absolute: those of `data_root`, `folder:<path>` and `weights:<file>`.

    So they mean the same in a plan and in a job, which runs in another folder. Lists are gone through.
    """

    def placed(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [placed(name, one) for one in value]
        if not isinstance(value, str):
            return value
        before, _, path = value.partition(":")
        if path and names_path(value):
            return f"{before}:{paths.whole(path)}"
        return str(paths.whole(value)) if name == "data_root" else value

    return {name: placed(name, value) for name, value in given.items()}
