"""The algorithms, one file each: settings, the half at the server, the half at the clients, and what leaves a node.

See ``flower_dgan.algorithms.base`` for what an algorithm is, and ``docs/plugins.md`` for one of your own.
"""
