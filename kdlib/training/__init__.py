"""The one loop that trains teachers and students: schedule, checkpoints, hardware.

May import `data`, `models`, `measures` and `base`.
"""
