"""With whom a node adds up: the other owners' public keys, which its owner got from them and no server can change."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from flower_dgan.config.ranges import Because, Size, SizeOrNone
from flower_dgan.errors import PolicyError

PublicKey = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{64}$"),
    Because("64 hexadecimal digits, as `flower-dgan policy key` prints them at the peer"),
]


@dataclass(frozen=True)
class Peers:
    """Which sites a sum may have; without keys a node takes part in none, as a server could invent all the others.

    Attributes
    ----------
    keys : tuple of str
        Public keys of the others, as each one's owner has them from ``flower-dgan policy key``.
    sites : int
        How many sites a sum has at least, this one included; 0 for all: this one and every peer.
    honest_sites : int
        How many of the sites of any such sum, this one included, the owner trusts to add their noise and to keep their
        keys from the server. What the book charges follows from it; 1 trusts nobody.
    """

    keys: tuple[PublicKey, ...] = ()
    sites: SizeOrNone = 0
    honest_sites: Size = 1

    @property
    def fewest(self) -> int:
        """How many sites a sum has at least."""
        return self.sites or len({*self.keys}) + 1

    def require(self) -> None:
        """Raise PolicyError if the owner has named nobody to add up with, or what cannot be."""
        if not self.keys:
            raise PolicyError(
                "peers",
                "This node's policy names no peers (peers), without which its sum is added to nobody's: their owners "
                "print the keys with `flower-dgan policy key`.",
            )
        if not max(2, self.honest_sites) <= self.fewest <= len({*self.keys}) + 1:
            raise PolicyError(
                "peers",
                f"This node's policy wants sums of {self.fewest} sites, {self.honest_sites} of them honest, and names "
                f"{len({*self.keys})} peers (peers): there are 2 sites or more, as many as are honest, and no more "
                "than the peers and this one.",
            )

    def check(self, others: Collection[bytes]) -> None:
        """Raise PolicyError if a sum with these others, by their public keys, is none that the owner allows."""
        self.require()
        for each in others:
            if each.hex() not in self.keys:
                raise PolicyError(
                    "peers", f"This node's policy does not name {each.hex()} among its peers (peers); a sum has it."
                )
        if len(others) + 1 < self.fewest:
            raise PolicyError(
                "peers",
                f"This node's policy wants sums of {self.fewest} sites or more (peers), and this one has "
                f"{len(others) + 1}.",
            )


class Anybody(Peers):
    """What a simulated node goes by: whoever simulates owns all of them."""

    def require(self) -> None:
        """Take part in any sum."""
