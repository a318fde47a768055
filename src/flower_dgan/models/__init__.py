"""Networks: the papers' exactly, and small ones that train on a CPU.

A generator is called as ``network(label_maps, noise, sites)`` and returns images in [-1, 1]; a discriminator is called as
``network(label_maps, images)`` and returns logits (batch, values, height, width). Label maps are one-hot
(batch, classes, height, width), noise is (batch, noise_channels), sites are indices (batch,).
"""
