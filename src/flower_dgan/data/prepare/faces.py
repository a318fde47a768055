"""Faces: CelebA, Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015, where torchvision keeps it."""

from functools import partial
from pathlib import Path

from flower_dgan.data.image_files import read_image
from flower_dgan.data.prepare.files import files_of, find_folders
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, name_pair
from flower_dgan.data.splits import some
from flower_dgan.data.text_files import read_text, same_name
from flower_dgan.errors import DataError


def find_celeba(root: Path) -> Found:
    """Find the aligned images of 178 x 218 pixels; no masks.

    Training and validation are for training, all images are of one site, and the group is the person.
    """
    base = root / "celeba" if (root / "celeba").is_dir() else root
    folder, partition, identities = find_folders(
        base,
        ["img_align_celeba", "list_eval_partition.txt", "identity_CelebA.txt"],
        "img_align_celeba/*.jpg (of img_align_celeba.zip), list_eval_partition.txt and identity_CelebA.txt.",
    )
    splits, people = _read_list(partition), _read_list(identities)
    nested = folder / folder.name
    images = files_of(nested if nested.is_dir() else folder, ".jpg")  # Kaggle's archive has it twice
    if alone := (set(images) ^ set(splits)) | (set(images) ^ set(people)):
        raise DataError(
            f"{some(alone)} are only in some of {folder} ({len(images):,} images), {partition} ({len(splits):,}) and "
            f"{identities} ({len(people):,}): unpack them again."
        )
    originals = [
        Original(
            source=f"img_align_celeba/{name}",
            stem=name_pair("te" if splits[name] == "2" else "tr", "faces", people[name], path.stem),
            read=partial(_read, path),
        )
        for name, path in images.items()
    ]
    return Found(tuple(originals), ())


def _read_list(path: Path) -> dict[str, str]:
    try:
        rows = [line.split() for line in same_name(read_text(path)).splitlines()]
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read as text in UTF-8 or UTF-16 ({error}): get it again.") from error
    if any(len(row) != 2 for row in rows):
        raise DataError(f"{path} is no list of images with one number each: get it again.")
    return {row[0]: row[1] for row in rows}


def _read(path: Path) -> list[tuple[str, OriginalPair]]:
    return [("", OriginalPair(read_image(path, 3), None))]
