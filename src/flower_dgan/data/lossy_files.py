"""Files that keep pixels only nearly: what is in a mask from one was not what was drawn."""

from pathlib import Path

from flower_dgan.data.picture_files import opened

_COMPRESSION = 259
# Of TIFF: old and new JPEG, and WebP, which libtiff writes without loss only if it is asked to and does not say so.
_NEARLY = {6: "JPEG", 7: "JPEG", 50001: "WebP"}


def lossy_format(path: Path) -> str | None:
    """Return what a picture is compressed by if that changes values, whatever its name says; None for others.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    with opened(path) as image:
        if image.format in ("JPEG", "MPO"):  # the latter is JPEG with more pictures behind it
            return "JPEG"
        kept = getattr(image, "tag_v2", {}).get(_COMPRESSION)
        return f"TIFF with {_NEARLY[kept]} inside" if kept in _NEARLY else None
