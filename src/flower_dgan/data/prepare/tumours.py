"""Brain tumours in magnetic resonance: BraTS 2018 as it is given out, and the HDF5 files of AsynDGAN's scripts.

Menze et al., "The Multimodal Brain Tumor Image Segmentation Benchmark (BRATS)", IEEE TMI 2015. Axial slices that have a
tumour, of the T2 modality, as Chang et al. (AsynDGAN, CVPR 2020) train on, or of any others; without the outline of the
skull that they draw into the label maps.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.data.prepare.layouts import content_of, visible
from flower_dgan.data.prepare.numbers import require_finite
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, PrepareSettings, name_pair
from flower_dgan.data.prepare.requirements import require
from flower_dgan.errors import ConfigError, DataError, reason_of, unknown_name

# The file has 0, 1, 2 and 4.
TUMOUR_CLASSES = ("background", "necrotic core", "oedema", "enhancing tumour")
_IDS = (0, 1, 2, 4)
_SUFFIXES = (".nii.gz", ".nii")
_MODALITIES = ("flair", "t1", "t1ce", "t2")
# AsynDGAN leaves slices with fewer out.
_LEAST_PIXELS = 10
# Entries of affines, in millimetres; headers round them.
_CLOSE = 0.01


def find_brats(root: Path, settings: PrepareSettings) -> Found:
    """Find the patients of BraTS 2018.

    ``HGG`` and ``LGG`` with a folder a patient, ``Brats18_<institution>_<number>_1``, and in it
    ``<patient>_seg.nii.gz`` and for each modality such as ``<patient>_t2.nii.gz``, each packed or not, ``.nii``. The
    site is the institution, the group the patient.
    """
    for modality in settings.modalities:
        if modality not in _MODALITIES:
            raise ConfigError(unknown_name("--modality", modality, _MODALITIES))
    _nibabel()
    patients = sorted({path.parent for suffix in _SUFFIXES for path in visible(root.rglob(f"*_seg{suffix}"))})
    if not patients:
        raise DataError(
            f"{root.absolute()} has no patient with *_seg.nii.gz. Expected is the unpacked training data, "
            "MICCAI_BraTS_2018_Data_Training, with HGG/Brats18_*/Brats18_*_t2.nii.gz and _seg.nii.gz. "
            f"{content_of(root)}"
        )
    originals = []
    for folder in patients:
        words = folder.name.split("_")
        for modality in settings.modalities:
            if len(words) < 3 or not _volume(folder, modality).is_file():
                raise DataError(
                    f"{folder} is no Brats18_<institution>_<number>_1 with its _{modality}.nii.gz: get it again."
                )
        read = partial(_read_volumes, folder, settings.modalities, settings.value_range is None)
        stem = name_pair(None, words[1], folder.name, "-".join(settings.modalities))
        originals.append(Original(str(folder.relative_to(root)), stem, read))
    return Found(tuple(originals), TUMOUR_CLASSES)


def slices(
    volumes: Sequence[NDArray[np.floating[Any]]], labels: NDArray[np.floating[Any]], scale: bool, source: str
) -> Iterator[tuple[str, OriginalPair]]:
    """Yield the slices with a tumour.

    Parameters
    ----------
    volumes : sequence of arrays (columns, rows, slices)
        Intensities from 0 of each modality, which become the channels of the images.
    labels : array (columns, rows, slices)
        0, 1, 2 or 4 as BraTS has them.
    scale : bool
        Whether each slice of a modality is scaled by its own maximum to 255, as AsynDGAN's code does; otherwise it is
        left as it is.
    source : str
        What to call the volume in an error.

    Raises
    ------
    DataError
        If the shapes differ, a volume is 0 throughout, or there is another label or a negative intensity.
    """
    for volume in volumes:
        if volume.ndim != 3 or volume.shape != labels.shape:
            raise DataError(f"{source}: the volume is of shape {volume.shape}, its labels are of {labels.shape}.")
    if not np.isin(labels, _IDS).all() or min(volume.min() for volume in volumes) < 0:
        raise DataError(f"{source}: labels besides {_IDS}, or intensities below 0, which BraTS 2018 does not have.")
    if blank := [str(number) for number, volume in enumerate(volumes, start=1) if not volume.any()]:
        raise DataError(f"{source}: the volume of modality {', '.join(blank)} is 0 throughout: get it again.")
    for index in np.flatnonzero((labels > 0).sum((0, 1)) >= _LEAST_PIXELS).tolist():
        mask = np.searchsorted(_IDS, labels[:, :, index]).astype(np.uint8)
        channels = [volume[:, :, index] for volume in volumes]
        if scale:
            channels = [np.rint(each * (255 / max(each.max(), 1e-8))).astype(np.uint8) for each in channels]
        yield f"{index:03d}", OriginalPair(np.stack(channels, axis=2), mask)


def _read_volumes(folder: Path, modalities: Sequence[str], scale: bool) -> Iterator[tuple[str, OriginalPair]]:
    arrays: list[NDArray[np.floating[Any]]] = []
    first: Any = None
    for kind in (*modalities, "seg"):
        path = _volume(folder, kind)
        try:
            # However the axes are stored: columns to the patient's right, rows to the front, slices to the head.
            stored = _nibabel().load(path)
            if not np.isfinite(stored.affine).all():
                raise ValueError("its affine is not finite, so that nobody knows where it lies")
            if np.issubdtype(stored.get_data_dtype(), np.complexfloating):
                raise ValueError("it holds complex numbers")
            image = _nibabel().as_closest_canonical(stored)
            arrays.append(image.get_fdata(dtype=np.float32))
        except Exception as error:  # nibabel's own, and those of gzip and zlib
            raise DataError(f"{path} cannot be read: {reason_of(error)}.") from error
        require_finite(arrays[-1], str(path))
        first = image if first is None else first
        if not np.allclose(image.affine, first.affine, atol=_CLOSE):
            raise DataError(
                f"{path} lies elsewhere than {_volume(folder, modalities[0]).name}, by the affines of both files: "
                "resample it to that one, or repair its header."
            )
    yield from slices(arrays[:-1], arrays[-1], scale, str(folder))


def _volume(folder: Path, kind: str) -> Path:
    """Return the file of a modality or of the labels: unpacked if that is there, otherwise packed."""
    packed, plain = (folder / f"{folder.name}_{kind}{suffix}" for suffix in _SUFFIXES)
    return plain if plain.is_file() else packed


def _nibabel() -> Any:
    return require("nibabel", "medical", "data prepare brats")
