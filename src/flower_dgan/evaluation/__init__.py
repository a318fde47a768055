"""How good a synthetic dataset is: segmentation scores of models trained on it."""
