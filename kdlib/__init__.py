"""Distilling Bayes: teachers that estimate the Bayes class probabilities, and their students."""
