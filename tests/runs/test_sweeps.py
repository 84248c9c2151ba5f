"""Lists sweep."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.runs.sweeps import expand, split, values_of

STUDENT = RunType.STUDENT


@pytest.mark.parametrize(
    ("name", "value", "values"),
    [
        ("seed", 3, [3]),
        ("seed", [0, 1], [0, 1]),
        ("seed", (0, 1), [0, 1]),
        ("seed", "0, 1,2", ["0", "1", "2"]),
        ("teacher", "one_hot,exact_bcp", ["one_hot", "exact_bcp"]),
        ("teacher", "weights:/a,b.safetensors", ["weights:/a,b.safetensors"]),
        ("dataset", "folder:/a,b", ["folder:/a,b"]),
        ("dataset", "digits,digits:tiny", ["digits", "digits:tiny"]),
        ("data_root", "/a,b", ["/a,b"]),
        ("omit_classes", "3+5", ["3+5"]),
        ("omit_classes", ["3+5", "1"], ["3+5", "1"]),
        ("omit_classes", "3,5", ["3,5"]),  # not split, so that `resolve` can say that a set is joined by +
    ],
)
def test_values(name: str, value: Any, values: list[Any]) -> None:
    assert values_of(STUDENT, name, value) == values


def test_the_product_of_the_lists() -> None:
    configs = expand(STUDENT, {"teacher": "exact_bcp", "temperature": "1,4", "seed": [0, 1, 2]})
    seen = [(c.model_dump()["temperature"], c.seed) for c in configs]
    assert seen == list(itertools.product((1.0, 4.0), (0, 1, 2)))


def test_elements_that_mean_the_same_are_one() -> None:
    assert len(expand(STUDENT, {"teacher": ["one_hot", "exact_bcp"], "temperature": [1, 4]})) == 3
    assert len(expand(STUDENT, {"seed": [1, "1"]})) == 1


@pytest.mark.parametrize("given", [{"seed": []}, {"seed": [1, 1]}, {"sed": [1]}, {"omit_classes": "3,5"}])
def test_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        expand(STUDENT, given)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 100])
def test_a_sweep_cut_in_pieces_is_the_same_sweep(most: int) -> None:
    given = {"seed": list(range(7)), "temperature": "1,2,4", "teacher": "exact_bcp"}
    pieces = [expand(STUDENT, piece) for piece in split(STUDENT, given, most)]
    assert max(map(len, pieces)) <= most
    assert sum(map(len, pieces)) == 21
    assert set(itertools.chain(*pieces)) == set(expand(STUDENT, given))
