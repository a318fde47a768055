"""MD-GAN: k batches for N workers, whose discriminators move from worker to worker.

C. Hardy, E. Le Merrer, B. Sericola: "MD-GAN: Multi-Discriminator Generative Adversarial Networks for Distributed
Datasets", IPDPS 2019. One global iteration (algorithm 1):

1. The server makes k batches X(0), ..., X(k-1) of b images, k <= N, and sends each worker n two of them (section
   IV-B1): X_n(g) = X(n mod k), on which it wants feedback, and X_n(d) = X((n+1) mod k), on which the worker trains.
2. The worker does L steps of its discriminator on X_n(d) and b real images, and returns the feedback
   F_n = d L_G(X_n(g)) / d x on each image (section IV-B2).
3. The server averages: the generator's gradient is 1/N sum_n (1/b) sum_i F_n,i dx_i/dw (section IV-B3, equation 2).
4. Every E epochs the workers swap their discriminators (section IV-C3), which moves |theta| numbers a worker.

A worker receives 2 b d numbers for images of d numbers and returns b d.

Deviations: k is fixed in the configuration; the workers' conditions travel with the images, as a worker has not the
label maps of the others; discriminators move through the server, so that a swap is |theta| up and |theta| down, and all
move at once along a random circle instead of each to a random worker; E is counted in rounds; the moments of a worker's
optimizer stay with it.
"""

from collections.abc import Sequence

import torch

from flower_dgan.randomness import derive_generator


def batches_of(worker: int, count: int) -> tuple[int, int]:
    """Return which of ``count`` batches a worker, from 0, gives feedback on, and which it is trained on."""
    return worker % count, (worker + 1) % count


def swaps(interval: int, round_number: int) -> bool:
    """Return whether discriminators move after a round; never where the interval is 0."""
    return interval > 0 and round_number % interval == 0


def swap_partners(workers: Sequence[str], seed: int, round_number: int) -> dict[str, str]:
    """Return to which worker the discriminator of each goes: never to itself, unless it is alone."""
    generator = derive_generator(seed, "swap", round_number)
    circle = [workers[index] for index in torch.randperm(len(workers), generator=generator).tolist()]
    return dict(zip(circle, [*circle[1:], *circle[:1]], strict=True))
