"""YAML in which what is typed is what is meant. (No torch.)"""

from __future__ import annotations

import re
from typing import Any

import yaml

from kdlib.base.errors import InputError

NO_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises at what is none: `2001-99-99`, `!!int ''`, a thousand brackets, ... bring others than its own."""


class Loader(yaml.SafeLoader):
    """Read YAML in which what is typed is what is meant, and each key stands once.

    Numbers are those that cannot mean another: `010`, `1_000` and `1:30`, which YAML 1.1 reads as 8, 1000 and 90, are
    texts, as `yes` and `2026-11-27` are. A key over one that `<<` merges is still an override.
    """

    yaml_implicit_resolvers = {}  # none of SafeLoader's

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set[str]()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):  # `<<` is not resolved yet
            if key.value in seen:
                line = key.start_mark.line + 1
                raise InputError(f"{key.value!r} in line {line} is refused: it is there already, and allowed once.")
            seen.add(key.value)
        return node


for tag, pattern, first in (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", "[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", "~|null|Null|NULL|", ("~", "n", "N", "")),
    ("merge", "<<", "<"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first))


def read(content: bytes) -> Any:
    """Return what a YAML document holds; an empty one holds no keys.

    Raises:
        InputError: a key is there twice, or is no text.
        yaml.YAMLError, ValueError, ...: `NO_YAML`.
    """
    found = yaml.load(content, Loader) or {}
    _check_keys(found)
    return found


def _check_keys(found: Any) -> None:
    """Refuse keys that YAML reads as something else than a text, such as the label `1.5` or `true`."""
    for name, values in found.items() if isinstance(found, dict) else ():
        odd = [key for key in (name, *(values if isinstance(values, dict) else ())) if not isinstance(key, str)]
        if odd:
            where = f" in {name}" if isinstance(name, str) else ""
            raise InputError(f"the key {odd[0]!r}{where} is refused, for it is no text: write it in quotes.")
