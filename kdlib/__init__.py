"""Distilling Bayes: teachers that estimate the Bayes class probabilities, and their students."""

import atexit
import gc

# A process that ends need not look for garbage first, which after torch takes 0.8 s, after a page half a second.
atexit.register(gc.freeze)
