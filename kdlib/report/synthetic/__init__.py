"""The page of synthetic experiments."""
