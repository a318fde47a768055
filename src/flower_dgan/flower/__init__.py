"""Flower around the training: grids, warm SuperNodes, and the one file that uses what Flower does not export."""
