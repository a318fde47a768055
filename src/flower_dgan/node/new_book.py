"""Another book in place of one that was lost: said by the owner, and noted in each ledger."""

from pathlib import Path

from flower_dgan.node.book import Book
from flower_dgan.node.owner_ledger import OwnerLedger

PURPOSE = "new book"


def begin_new_book(directory: Path) -> list[Path]:
    """Begin a book in a state directory, or take the one that is there, and return the ledgers that say so.

    Whatever a lost book counted is counted from 0 again. What a node draws does not repeat: each training of a seed
    that was used before has a number that was not.

    Parameters
    ----------
    directory : Path
        State directory of the nodes' user.

    Raises
    ------
    StorageError
        If the book or a ledger cannot be written.
    """
    book = Book(directory / "book.sqlite")
    book.begin_anew()
    ledgers = [OwnerLedger(each, book) for each in sorted((directory / "ledger").glob("*.jsonl"))]
    for each in ledgers:
        each.adopt()
    for each in ledgers:
        each.note({"purpose": PURPOSE, "training": "", "records": [], "bytes": 0})
    return [each.path for each in ledgers]
