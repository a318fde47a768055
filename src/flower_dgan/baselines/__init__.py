"""The rows that a distributed GAN is held against in the TSTR table."""
