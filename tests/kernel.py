"""A real kernel that a test drives as a person does: cell by cell, with parameters changed and cells interrupted."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import KernelManager

from kdlib.base import paths


@dataclass
class Cell:
    """What an executed cell left behind."""

    text: str = ""
    shown: dict[str, Any] = field(default_factory=dict)
    """Its displays by media type."""
    error: str = ""
    """`<exception>: <message>` of a cell that raised."""
    traceback: str = ""


class Kernel:
    """A kernel that runs code and answers with what it showed."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client = manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, code: str, watch: Callable[[str], bool] | None = None) -> Cell:
        """Execute code; interrupt it, once, as soon as `watch` says so of the text it has printed."""
        cell, waiting = Cell(), watch

        def keep(message: dict[str, Any]) -> None:
            nonlocal waiting
            content = message["content"]
            if message["msg_type"] == "stream":
                cell.text += content["text"]
            elif message["msg_type"] in ("display_data", "execute_result"):
                cell.shown |= content["data"]
            elif message["msg_type"] == "error":
                cell.error = f"{content['ename']}: {content['evalue']}"
                cell.traceback = "\n".join(content["traceback"])
            if waiting is not None and waiting(cell.text):
                waiting = None
                self.manager.interrupt_kernel()

        self.client.execute_interactive(code, output_hook=keep, timeout=240)
        return cell

    def value(self, expression: str) -> Any:
        """Return the value of an expression that JSON can hold."""
        cell = self.run(f"import json as _json\nprint(_json.dumps({expression}))")
        assert not cell.error, cell.error
        return json.loads(cell.text)

    def start_over(self, store: Path) -> None:
        """Forget every variable and every cell, and use another store."""
        self.run(f"get_ipython().reset()\nimport os\nos.environ['KDLIB_RUNS'] = {str(store)!r}")


@contextmanager
def started() -> Iterator[Kernel]:
    """Start a kernel in the root of the project, with one thread; end it after use."""
    manager = KernelManager(kernel_name="python3")
    quiet = {"OMP_NUM_THREADS": "1", "KDLIB_SAVE_EVERY": "1000"}
    env = {name: value for name, value in os.environ.items() if name != "KDLIB_PROGRESS"}
    manager.start_kernel(cwd=str(paths.ROOT), env={**env, **quiet})
    try:
        yield Kernel(manager)
    finally:
        manager.shutdown_kernel(now=True)


def code_cells(name: str) -> list[str]:
    """Return the code cells of a run notebook; the first is that of the parameters."""
    notebook = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def with_values(cell: str, **values: Any) -> str:
    """Return a parameters cell in which a person has typed other values."""
    for name, value in values.items():
        cell, changed = re.subn(rf"^({name}: [^=]+= )[^#]*", rf"\g<1>{value!r}  ", cell, flags=re.MULTILINE)
        assert changed == 1, name
    return cell
