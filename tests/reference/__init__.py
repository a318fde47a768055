"""The algorithms once more, as plain, slow loops beside their papers, which the product is held against.

They share with the product the losses, the networks with their first weights, and what is drawn: label maps, views,
noise (``draws``). All steps of the algorithms are written anew. What a loop needs of a configuration are plain numbers,
read in one place (``settings``). ``runs`` trains the product and the loop of one configuration.

``asyndgan``
    AsynDGAN, TDGAN, fused generators and Distributed-GAN's third way: each client judges images of its own.
``mdgan``, ``scores``, ``selective``
    Clients judge common images: MD-GAN; UA-GAN, GMAN and Distributed-GAN's second way; its first way.
``fedgan``
    Each client has both networks.
"""
