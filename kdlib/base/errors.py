"""The sentences a user may see, as exceptions."""

from __future__ import annotations


class KdlibError(Exception):
    """Say in one sentence what went wrong and what to do about it; on one line, whatever it names."""

    def __init__(self, sentence: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence))

    def _render_traceback_(self) -> list[str]:
        """Give a notebook the sentence alone: the way to it through the library helps no user."""
        return [f"{type(self).__name__}: {self}"]


class InputError(KdlibError, ValueError):
    """Refuse a value: the sentence names the parameter, the value and what is allowed."""


class RunLocked(KdlibError):
    """Say that another process is working on the same run."""


class NotFinite(KdlibError, ArithmeticError):
    """Stop a training whose loss is no longer a finite number, saying where."""


class DamagedRun(InputError):
    """Say which file of which run is not what was written, and why."""

    def __init__(self, run: str, file: str, reason: str) -> None:
        self.run, self.reason = run, f"{file} {reason}"
        super().__init__(
            f"The run {run} is damaged: {self.reason}; `python -m kdlib list --set-aside` moves it out of the way, "
            "and the same command then makes it again."
        )


class NoImages(InputError):
    """Say that the images which something is counted on are not here."""


class NotWritten(KdlibError, OSError):
    """Say which file cannot be written, and that what was there is kept."""
