"""The families of datasets, each in a folder of its own: a new one is listed here. (No torch.)"""

from __future__ import annotations

from kdlib.base.errors import InputError
from kdlib.base.registry import Registry
from kdlib.data.cifar import CIFAR10, CIFAR10H, CIFAR100
from kdlib.data.digits import DIGITS
from kdlib.data.family import Family
from kdlib.data.folder import FOLDER

FAMILIES: Registry[Family] = Registry("dataset", (DIGITS, CIFAR10, CIFAR100, CIFAR10H, FOLDER))


def spellings() -> str:
    """Say how datasets are called."""
    return ", ".join(one for family in FAMILIES.values() for one in family.spellings)


def family_of(name: str) -> Family:
    """Return the family of a dataset's name.

    Raises:
        InputError: there is none.
    """
    kind, colon, rest = name.partition(":")
    family = FAMILIES.get(kind)
    lacks = family is not None and not rest and (colon or family.at_path)
    if family is None or lacks or (rest and not any(":" in one for one in family.spellings)):
        raise InputError(f"dataset is {name!r}, but it must be one of {spellings()}.")
    return family
