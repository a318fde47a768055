"""A bound on how much one client weighs: its number of images is its own claim.

AsynDGAN weighs client k by pi_k = n_k / sum n. A client that says it has a million images would have all the weight, so
pi_k is bounded by a setting, ``algorithm.largest_share``.
"""

from collections.abc import Mapping

_FEWEST = 3
_ROUNDING = 1e-12


def bound_shares(shares: Mapping[str, float], largest: float, clients: int) -> dict[str, float]:
    """Return shares none of which is larger than a bound; what is cut off goes to the others, in proportion to theirs.

    Parameters
    ----------
    shares : mapping of str to float
        By the clients' names, each positive; they sum to 1.
    largest : float
        The bound, positive. Of fewer than 1 / ``largest`` shares all become equal.
    clients : int
        Clients of the training, of which some may be missing here. Where there are fewer than three the shares stay:
        of two none would weigh more than the other.
    """
    bounded = dict(shares)
    if clients < _FEWEST:
        return bounded
    largest = max(largest, 1 / len(shares))
    held: set[str] = set()
    while beyond := {name for name, share in bounded.items() if share > largest * (1 + _ROUNDING)} - held:
        held |= beyond
        free = sum(share for name, share in shares.items() if name not in held)
        left = 1 - largest * len(held)
        bounded = {name: largest if name in held else share * left / free for name, share in shares.items()}
    return bounded
