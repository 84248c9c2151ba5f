"""A study's jobs, its table of runs with labels, and its records.

May import `runs` and what is below.
"""

from __future__ import annotations

from kdlib.study.rows import table

__all__ = ["table"]
