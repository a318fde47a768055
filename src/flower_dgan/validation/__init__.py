"""What settings may be together: checks of a whole configuration, beside the ranges of each setting."""
