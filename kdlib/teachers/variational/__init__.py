"""Variational inference: any network of convolutions and linear layers, with a posterior over its weights."""

from __future__ import annotations

from kdlib.base.options import Family
from kdlib.teachers.variational.bayesianize import bayesianize, kl, kl_weight, posteriors
from kdlib.teachers.variational.options import Options
from kdlib.teachers.variational.sampling import draw, mean_forward, pinned, sample_forward

__all__ = [
    "Family",
    "Options",
    "bayesianize",
    "draw",
    "kl",
    "kl_weight",
    "mean_forward",
    "pinned",
    "posteriors",
    "sample_forward",
]
