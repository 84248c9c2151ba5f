"""Distilling Bayes: teachers that estimate the Bayes class probabilities, and their students."""

import atexit
import gc
import sys


def _leave() -> None:
    """End without a search for garbage, which takes half a second after torch as after a page."""
    if "triton" not in sys.modules:  # it tells what it finds left
        gc.freeze()


atexit.register(_leave)
