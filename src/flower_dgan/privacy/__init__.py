"""Differential privacy: what a release costs, and what is released with noise."""
