"""Networks: the papers' exactly, small ones that train on a CPU, and strong ones for a GPU.

A generator is called with a ``GeneratorInput`` and returns images (batch, channels, height, width) in [-1, 1]; a
discriminator is called as ``network(label_maps, images)`` with one-hot label maps (batch, classes, height, width) and
returns logits (batch, values, height, width).

``mlp``, ``mlp-relu`` and ``dcgan`` are for label maps that are constant, as ``data.condition=class`` and ``none`` make
them: the class is an input beside the noise or the image, and a single class is none. So is the discriminator
``mlp-by-class``, which has a score for each class instead.
"""
