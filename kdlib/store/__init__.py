"""The run store: a folder a run, what it must hold, and runs packed to be carried.

May import `training` and `base`.
"""
