"""Laplace posteriors of a trained network: `fit`, `from_state` and the options.

The last layer's Kronecker-factored posterior is evaluated in closed form; the others are laplace-torch's.
"""

from __future__ import annotations

from kdlib.base.options import HessianStructure, Link, Predictive, PriorPrecision, SubsetOfWeights
from kdlib.teachers.laplace.fit import fit, from_state
from kdlib.teachers.laplace.last_layer_kron import LastLayerKron
from kdlib.teachers.laplace.options import Options, check
from kdlib.teachers.laplace.posterior import Batches, Posterior

__all__ = [
    "Batches",
    "HessianStructure",
    "LastLayerKron",
    "Link",
    "Options",
    "Posterior",
    "Predictive",
    "PriorPrecision",
    "SubsetOfWeights",
    "check",
    "fit",
    "from_state",
]
