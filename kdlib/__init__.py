"""Distilling Bayes: teachers that estimate the Bayes class probabilities, and their students."""

import atexit
import gc
import sys

# What is imported or read is no garbage: to look for some after each 700 new objects takes a tenth of every process.
# Nothing large waits for the search: networks and their gradients go with their last reference, as a test says.
if 0 < gc.get_threshold()[0] < 20_000:  # whoever searches less or never goes on to
    gc.set_threshold(20_000)


def _leave() -> None:
    """End without a search for garbage, which takes half a second after torch as after a page."""
    if "triton" not in sys.modules:  # it tells what it finds left
        gc.freeze()


atexit.register(_leave)
