"""The synthetic experiment: what the supervision does to SGD where the Bayes class probabilities are known."""
