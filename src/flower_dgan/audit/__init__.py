"""Attacks on a node that were seen to work, and what they still find: ``flower-dgan audit``."""
