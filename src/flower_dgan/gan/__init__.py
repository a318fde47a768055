"""The algorithms, in torch only: no Flower, no configuration files, no printing, no global random state."""
