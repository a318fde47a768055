"""The command ``flower-dgan``."""
