"""Distributed GANs on Flower: synthetic batches go out, discriminator feedback comes back."""

from importlib.metadata import version

__version__ = version("flower-dgan")
