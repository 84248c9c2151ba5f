"""Numbers from probabilities, labels and maps.

May import `base`.
"""
