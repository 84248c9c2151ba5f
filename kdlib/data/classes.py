"""Sets of classes as users write them, and as they are kept. (No torch.)"""

from __future__ import annotations

from collections.abc import Sequence

from kdlib.base.errors import InputError


def resolve_classes(spec: str, classes: Sequence[str]) -> tuple[int, ...]:
    """Return the sorted class indices that a set such as `"3+5"` or `"cat+dog"` names; none for the empty string.

    A part that is the name of a class means that class (`C++` alone too), else it is an index from 0. Where all classes
    are called by other numbers, as 0001, 0002, … are, a number must be a name: a command line that turns 0003 into 3
    would mean another class.

    Raises: InputError for a class that does not exist, or when no class remains.
    """
    chosen, names = set(), list(classes)
    for part in [spec] if spec in names else [part.strip() for part in spec.split("+") if part.strip()]:
        known = names.index(part) if part in names else len(names)
        index = int(part) if known == len(names) and part.isdecimal() and not _numbered(names) else known
        if index >= len(classes) and part.isdecimal() and _numbered(names):
            raise InputError(
                f"omit_classes names {part!r}, but the classes are called by numbers ({', '.join(names[:5])}, …): give "
                "the name as it is, on papermill's command line with -r instead of -p."
            )
        if index >= len(classes):
            raise InputError(
                f"omit_classes names {part!r}, but the classes are 0 to {len(classes) - 1}: "
                f"{', '.join(classes[:12])}{' …' if len(classes) > 12 else ''} (join several with +)."
            )
        chosen.add(index)
    if len(chosen) == len(classes):
        raise InputError(f"omit_classes is {spec!r}, which leaves none of the {len(classes)} classes to learn from.")
    return tuple(sorted(chosen))


def _numbered(names: Sequence[str]) -> bool:
    """Say whether all classes are called by numbers, and not by those that count them from 0."""
    return all(name.isdecimal() for name in names) and any(name != str(k) for k, name in enumerate(names))


def named_once(spec: str, classes: Sequence[str]) -> str:
    """Return the one spelling of a set of classes: sorted numbers, or the name where its number is another's name.

    `cat` and `3` are then the same of CIFAR-10, and so named runs are one run.

    Raises: InputError as `resolve_classes`.
    """
    if not spec:
        return ""
    names = list(classes)
    chosen = resolve_classes(spec, classes)
    taken = _numbered(names)
    return "+".join(names[i] if taken or (str(i) in names and names.index(str(i)) != i) else str(i) for i in chosen)
