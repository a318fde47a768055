"""Sweeps: a multirun of Hydra's whose jobs run side by side."""
