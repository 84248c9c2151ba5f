"""MCMI: a network fine-tuned to keep more conditional mutual information of image and prediction."""
