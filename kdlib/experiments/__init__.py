"""Runs that train neither teacher nor student: synthetic experiments, Eigen-CAM maps, a teacher measured again.

May import `teachers` and what is below.
"""
