"""Files written whole or not at all: to a temporary file, flushed to the disk and renamed."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from kdlib.base.errors import NotWritten


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by one with these bytes, or leave it as it was.

    Raises:
        NotWritten: the disk is full or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # machines that share a disk share numbers too
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # a part of a file would keep a full disk full
        raise NotWritten(
            f"{path} cannot be written ({error.strerror}); what was there before is kept, and the same command goes on "
            "from it."
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())
