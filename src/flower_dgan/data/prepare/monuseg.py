"""Nuclei in tissue of several organs: MoNuSeg 2018 and the data set of Kumar et al. that its training images are.

Kumar et al., "A Dataset and a Technique for Generalized Nuclear Segmentation for Computational Pathology", IEEE TMI
2017; Kumar et al., "A Multi-Organ Nucleus Segmentation Challenge", IEEE TMI 2020. Images of 1000 x 1000 pixels and
polygons in the XML of Aperio ImageScope, both named by the TCGA barcode of the slide.
"""

from functools import partial
from pathlib import Path

import numpy as np

from flower_dgan.data.image_files import SUFFIXES, read_image
from flower_dgan.data.prepare.aperio import draw_regions, require_one_layer
from flower_dgan.data.prepare.files import by_stem, match_stems
from flower_dgan.data.prepare.original import Found, Original, OriginalPair, PrepareSettings, name_pair
from flower_dgan.data.splits import some
from flower_dgan.errors import DataError

# TCGA source site and patient of each organ. The six of "liver" carry codes of lung cancer: it is the authors' table.
_TRAINING = {
    "breast": "A7-A13E A7-A13F AR-A1AK AR-A1AS E2-A1B5 E2-A14V",
    "kidney": "B0-5711 HE-7128 HE-7129 HE-7130 B0-5710 B0-5698",
    "liver": "18-5592 38-6178 49-4488 50-5931 21-5784 21-5786",
    "prostate": "G9-6336 G9-6348 G9-6356 G9-6363 CH-5767 G9-6362",
    "bladder": "DK-A2I6 G2-A2EK",
    "colon": "AY-A8YK NH-A8F7",
    "stomach": "KB-A93J RD-A8N9",
}
_TEST = {
    "breast": "AC-A2FO AO-A0J2",
    "kidney": "2Z-A9J9 GL-6846 IZ-8196",
    "prostate": "EJ-A46H HC-7209",
    "bladder": "CU-A0YN ZF-A9R5",
    "colon": "A6-6782",
    "lung": "44-2665 69-7764",
    "brain": "FG-A4MU HT-8564",
}
# The 16 training images of Kumar et al., four an organ; the other 14 of theirs are for the test.
_KUMAR_TRAINING = {
    "breast": "A7-A13E AR-A1AK AR-A1AS E2-A14V",
    "kidney": "B0-5711 HE-7128 HE-7129 HE-7130",
    "liver": "18-5592 21-5784 38-6178 50-5931",
    "prostate": "G9-6348 G9-6356 G9-6362 G9-6363",
}
_LAYOUT = (
    "the folder of the download, with images TCGA-*.tif and annotations TCGA-*.xml of the same names anywhere in it "
    "('Tissue Images' and 'Annotations' of the training data, 'MoNuSegTestData' of the test)."
)


def _organs(table: dict[str, str]) -> dict[str, str]:
    return {patient: organ for organ, patients in table.items() for patient in patients.split()}


def find_monuseg(root: Path, settings: PrepareSettings) -> Found:
    """Find images of MoNuSeg 2018: 30 for training, 14 for the test; the site is the organ."""
    return _find(root, _organs(_TRAINING), _organs(_TEST), settings.layers)


def find_kumar(root: Path, settings: PrepareSettings) -> Found:
    """Find images of Kumar et al.: 16 of four organs for training, 14 of seven for the test."""
    training = _organs(_KUMAR_TRAINING)
    return _find(
        root,
        training,
        {name: organ for name, organ in _organs(_TRAINING).items() if name not in training},
        settings.layers,
    )


def _find(root: Path, training: dict[str, str], test: dict[str, str], layers: tuple[str, ...]) -> Found:
    annotations = by_stem(root.rglob("TCGA-*.xml"))
    images = by_stem(path for path in root.rglob("TCGA-*") if path.suffix.lower() in SUFFIXES)
    if not annotations or not images:
        raise DataError(f"{root.absolute()} has no TCGA-*.xml or no images. Expected is {_LAYOUT}")
    match_stems(images, annotations, "annotation")
    patients = {name: "-".join(name.split("-")[1:3]) for name in images}
    organs = training | test
    if unknown := [str(images[name]) for name, patient in patients.items() if patient not in organs]:
        raise DataError(f"{some(unknown)} belong to no patient of this data set: remove image and annotation.")
    require_one_layer(annotations.values(), layers)
    originals = [
        Original(
            source=str(images[name].relative_to(root)),
            stem=name_pair("tr" if patient in training else "te", organs[patient], patient, "0"),
            read=partial(_read, images[name], annotations[name], layers),
        )
        for name, patient in patients.items()
    ]
    return Found(tuple(originals), ("background", "nucleus"))


def _read(image: Path, annotation: Path, layers: tuple[str, ...]) -> list[tuple[str, OriginalPair]]:
    pixels = read_image(image, 3)
    instances = draw_regions(annotation, pixels.shape[0], pixels.shape[1], layers)
    if not instances.any():
        raise DataError(f"No region of {annotation} covers a pixel of {image}: get both again.")
    return [("", OriginalPair(pixels, (instances > 0).astype(np.uint8), instances))]
