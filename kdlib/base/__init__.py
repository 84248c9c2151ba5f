"""What all stands on: errors, paths, hashing, files written whole, and what a parameter, a config and a registry are.

Imports no other room, and torch nowhere but in `tensors`.
"""
