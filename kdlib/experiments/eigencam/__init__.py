"""Eigen-CAM: where a teacher's networks look."""
