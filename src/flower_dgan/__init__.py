"""Distributed GANs on Flower: synthetic batches go out, discriminator feedback comes back."""
