"""From a config to a finished run: its parents, name and checks, and what makes it; study files and other references.

May import all rooms but `study` and `report`.
"""
