"""Folders as people have them, composed by hypothesis, with what is in them known from before it was written.

Nothing here reads a file, and nothing of the package is used: the truth is what was to be stored.
"""

import csv
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

Pixels = NDArray[np.uint8]

ORIENTATION, IMAGE_DEPTH = 0x0112, 32997
# What a reader may do with a folder: it must agree with the truth, must refuse, or may do either but nothing else.
SOUND, UNSOUND, ANYTHING = "sound", "unsound", "anything"


@dataclass
class Folder:
    """A folder that was written, and its truth.

    Attributes
    ----------
    images : dict of str to uint8 array (height, width) or (height, width, 3)
        By the composed name, as they are shown.
    masks : dict of str to uint8 array (height, width)
        Class ids.
    origins : dict of str to (str, str, str)
        Split, site and group, where a table says them.
    lossy : set of str
        Whose images were written as JPEG.
    channels, classes : int
        What a run is told.
    binary : bool
        Whether masks are of 0 and 255.
    table : Path or None
        The table of a run.
    to_run, to_prepare : str
        What a run and ``prepare folder`` may do with it.
    defect : str
        What is wrong, for messages.
    """

    images: dict[str, Pixels] = field(default_factory=dict)
    masks: dict[str, Pixels] = field(default_factory=dict)
    origins: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    lossy: set[str] = field(default_factory=set)
    channels: int = 1
    classes: int = 2
    binary: bool = False
    table: Path | None = None
    to_run: str = SOUND
    to_prepare: str = SOUND
    defect: str = "none"


def stored(shown: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return what a camera stores of a picture, by what EXIF says of row 0 and column 0."""
    turned = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.swapaxes(0, 1),
        6: np.rot90(shown),
        7: shown[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(shown, -1),
    }
    return np.ascontiguousarray(turned[orientation])


def few_bits(path: Path, samples: Pixels, bits: int, orientation: int) -> None:
    """Write a grey PNG of 2 or 4 bits, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = samples.shape
    spread = (samples[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(spread.reshape(height, width * bits).astype(np.uint8), axis=1)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    content += chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    content += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


names = st.lists(
    st.text("abZ\u00e4\u00f6\u00e9\u0416\u65e5 -_.()[]=,;#$'%&", min_size=1, max_size=9)
    .map(str.strip)
    .filter(lambda name: name and not name.startswith(".")),
    min_size=2,
    max_size=4,
    unique_by=lambda name: normalize("NFC", name).casefold(),
)
forms = st.sampled_from(("NFC", "NFD"))
SIDES = (16, 24, 32)
IMAGES = ("grey", "rgb", "palette", "bit", "grey-alpha", "rgb-alpha", "array")
MASKS = ("grey", "palette", "bit", "few", "grey-alpha", "deep")
IMAGE_DEFECTS = ("cut", "gif", "transparent", "pages", "cmyk", "deep", "twice", "accents", "alone", "small", "bytes")
IMAGE_DEFECTS += ("end", "volume")
MASK_DEFECTS = ("cut", "gif", "transparent", "pages", "value", "jpeg", "size", "alone", "bytes", "reverse", "palettes")
TABLE_DEFECTS = ("encoding", "row", "twice")
SITES = ("Bonn", "K\u00f6ln", "Ort 3")


@st.composite
def folders(draw: st.DrawFn, root: Path) -> Folder:
    """Write a folder below a new ``root``; returns its truth."""
    found = Folder(channels=draw(st.sampled_from((1, 3))), classes=draw(st.integers(2, 5)))
    chosen = draw(names)
    defects = [("none", "")] * 12
    defects += [("images", each) for each in IMAGE_DEFECTS] + [("masks", each) for each in MASK_DEFECTS]
    defects += [("table", each) for each in TABLE_DEFECTS]
    place, defect = draw(st.sampled_from(defects))
    binary = draw(st.booleans())
    found.binary = binary
    if binary:
        found.classes = 2
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number, name in enumerate(chosen):
        bad = number == len(chosen) - 1
        key = normalize("NFC", name)
        shape = (draw(st.sampled_from(SIDES)), draw(st.sampled_from(SIDES)))
        # by the number, too: equal images on both sides of a split are a problem of their own
        random = np.random.default_rng((number, draw(st.integers(0, 2**32 - 1))))
        wrong = defect if bad and place == "images" else ""
        found.images[key] = _image(draw, found, root / "images", name, shape, random, wrong)
        wrong = defect if place == "masks" and (bad or defect == "palettes") else ""
        wrong = "palette" if wrong == "palettes" and not bad else wrong
        found.masks[key] = _mask(draw, found, root / "masks", name, shape, random, binary, wrong)
    for part in ("images", "masks"):
        for litter in draw(st.lists(st.sampled_from(("._a.png", ".DS_Store", "Thumbs.db", "readme.txt")), max_size=2)):
            (root / part / litter).write_bytes(b"\0\5\26\7 is no picture")
    if place == "table" or draw(st.booleans()):
        _table(draw, found, root, defect if place == "table" else "")
    return found


def _spoil(found: Folder, defect: str, to_run: str = UNSOUND, to_prepare: str = UNSOUND) -> None:
    found.defect, found.to_run, found.to_prepare = defect, to_run, to_prepare


def _image(
    draw: st.DrawFn,
    found: Folder,
    folder: Path,
    name: str,
    shape: tuple[int, int],
    random: np.random.Generator,
    wrong: str,
) -> Pixels:
    kind = draw(st.sampled_from(IMAGES))
    suffix = draw(st.sampled_from((".png", ".PNG", ".tif", ".tiff", ".jpg", ".JPEG")))
    jpeg = suffix.lower() in (".jpg", ".jpeg")
    form = normalize(draw(forms), name)
    if wrong == "small":
        shape = (4, shape[1])
    if wrong in ("transparent", "cmyk", "pages", "deep"):
        suffix = {"cmyk": ".jpg", "pages": ".tif"}.get(wrong, ".png")
        kind, jpeg = {"transparent": "rgb-alpha", "cmyk": "rgb"}.get(wrong, "grey"), False
    if wrong in ("end", "volume"):
        suffix, jpeg = {"end": (".jpg", True), "volume": (".tif", False)}[wrong]
    if jpeg:
        kind = draw(st.sampled_from(("grey", "rgb")))
        found.lossy.add(normalize("NFC", name))
    orientation = draw(st.integers(1, 8))
    options = _options(suffix.lower(), orientation, by_xmp=draw(st.integers(0, 3)) == 0)
    if jpeg:
        options |= {"quality": 95, "subsampling": 0}
    elif suffix.lower().startswith(".tif"):
        options["compression"] = draw(st.sampled_from((None, "tiff_deflate", "tiff_lzw", "packbits")))
    elif "pnginfo" in options and draw(st.integers(0, 9)) == 0:
        options["pnginfo"].add_text("history", "x" * 2**21, zip=True)
    path = folder / f"{form}{suffix}"
    shown, image = _pixels(kind, shape, random, jpeg, orientation)
    if kind == "array" and not wrong:
        path = folder / f"{form}.npy"
        shown = random.integers(0, 256, (*shape, found.channels), dtype=np.uint8)
        np.save(path, shown)
        return shown[..., 0] if found.channels == 1 else shown
    if wrong == "transparent":
        array = np.asarray(image).copy()
        array[2, 3, 3] = draw(st.integers(0, 254))
        image = Image.fromarray(array)
    if wrong == "cmyk":
        image, options = image.convert("CMYK"), {}
    if wrong == "deep":
        image = Image.fromarray(stored(shown, orientation).astype(np.uint16) * 257)
    if wrong == "pages":
        options |= {"save_all": True, "append_images": [image]}
    if wrong == "volume":
        options["tiffinfo"] = TiffImagePlugin.ImageFileDirectory_v2()
        options["tiffinfo"][IMAGE_DEPTH] = 2
    image.save(path, **options)
    if wrong == "deep":
        _spoil(found, "an image of 16 bits", to_prepare=SOUND)
    elif wrong == "small":
        _spoil(found, "a small image", to_prepare=UNSOUND)  # the mask is larger
    elif wrong == "accents":
        other = "NFD" if form == normalize("NFC", name) else "NFC"
        if normalize(other, name) != form:
            (folder / f"{normalize(other, name)}.png").write_bytes(b"whatever it holds")
            _spoil(found, "two names that look the same")
    elif wrong == "twice":
        (folder / f"{form}.{'tif' if suffix == '.png' else 'png'}").write_bytes(b"whatever it holds")
        _spoil(found, "two images of a name")
    elif wrong:
        _damage(draw, found, path, wrong)
    return shown


def _options(suffix: str, orientation: int, *, by_xmp: bool) -> dict[str, Any]:
    """Return what says the orientation of a picture: EXIF, or XMP alone."""
    note = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
    options: dict[str, Any] = {} if by_xmp else {"exif": _exif(orientation)}
    if suffix == ".png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        if by_xmp:
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", note)
    elif suffix.startswith(".tif") and by_xmp:
        options["tiffinfo"] = TiffImagePlugin.ImageFileDirectory_v2()
        options["tiffinfo"].tagtype[700] = 1
        options["tiffinfo"][700] = note.encode()
    elif by_xmp:
        options["xmp"] = note.encode()
    return options


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def _pixels(
    kind: str, shape: tuple[int, int], random: np.random.Generator, jpeg: bool, orientation: int
) -> tuple[Pixels, Image.Image]:
    """Return a picture as it is shown, and as it is to be stored."""
    colours = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    if jpeg:  # of four colours, in whole blocks of JPEG
        colours = np.repeat(np.repeat(random.integers(0, 256, (2, 2, 3), dtype=np.uint8), 8, 0), 8, 1)
        colours = np.pad(colours, ((0, 16), (0, 16), (0, 0)), "edge")[: shape[0], : shape[1]]
    if kind == "palette":
        palette = random.integers(0, 256, (16, 3), dtype=np.uint8)
        indices = random.integers(0, 16, shape, dtype=np.uint8)
        image = Image.fromarray(stored(indices, orientation), mode="P")
        image.putpalette(palette.tobytes())
        return palette[indices], image
    if kind == "bit":
        bits = colours[..., 0] > 127
        return (bits * np.uint8(255)), Image.fromarray(stored(bits, orientation))
    shown = colours if kind.startswith("rgb") else colours[..., 0]
    array = stored(shown, orientation)
    if kind.endswith("alpha"):
        array = np.dstack([array, np.full(array.shape[:2], 255, np.uint8)])
    return shown, Image.fromarray(array)


def _mask(
    draw: st.DrawFn,
    found: Folder,
    folder: Path,
    name: str,
    shape: tuple[int, int],
    random: np.random.Generator,
    binary: bool,
    wrong: str,
) -> Pixels:
    kind = "palette" if wrong in ("reverse", "palette", "palettes") else draw(st.sampled_from(MASKS))
    if kind == "bit" and not binary:
        kind = "grey"
    suffix = ".png" if kind == "few" else draw(st.sampled_from((".png", ".tif", ".TIFF")))
    form = normalize(draw(forms), name)
    orientation = draw(st.integers(1, 8))
    ids = random.integers(0, found.classes, shape, dtype=np.uint8)
    ids[:2, :2] = ((0, 1), (1, 0))
    values = ids * np.uint8(255) if binary else ids
    if wrong == "size":
        values = np.pad(values, ((0, 0), (0, 8)))
    if wrong == "value":
        values = values.copy()
        values[5, 5] = 200
    path = folder / f"{form}{suffix}"
    array = stored(values, orientation)
    options: dict[str, Any] = {"exif": _exif(orientation)}
    if wrong in ("value", "transparent", "pages", "jpeg"):
        kind, path = "grey", folder / f"{form}{'.tif' if wrong == 'pages' else '.jpg' if wrong == 'jpeg' else '.png'}"
    if kind == "few":
        bits = draw(st.sampled_from((2, 4))) if found.classes < 4 else 4
        few_bits(path, np.where(array == 255, 2**bits - 1, array).astype(np.uint8), bits, orientation)
    elif kind == "palette":
        image = Image.fromarray(array, mode="P")
        colours = random.integers(0, 256, (256, 3), dtype=np.uint8)
        if wrong == "reverse":
            colours = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, 1)
        elif wrong.startswith("palette"):  # of all masks one, of the last the reverse
            colours = np.stack([np.arange(256)] * 3, axis=1).astype(np.uint8) * (1, 0, 0)
            colours = colours[::-1] if wrong == "palettes" and binary else colours
            if wrong == "palettes" and not binary:
                colours[:2] = colours[1::-1].copy()
        image.putpalette(colours.astype(np.uint8).tobytes())
        image.save(path, **options)
    else:
        alpha = np.full(array.shape, 255, np.uint8)
        if wrong == "transparent":
            alpha[1, 1] = 7
        image = Image.fromarray(
            {
                "grey": array if wrong != "transparent" else np.dstack([array, alpha]),
                "bit": array > 0,
                "grey-alpha": np.dstack([array, alpha]),
                "deep": array.astype(np.uint16),
            }[kind]
        )
        options |= {"save_all": True, "append_images": [image]} if wrong == "pages" else {}
        options |= {"quality": 60} if wrong == "jpeg" else {}
        image.save(path, **options)
    if wrong == "jpeg":  # of black and white it may come back as it was
        _spoil(found, "a mask as JPEG", *([ANYTHING] * 2 if binary else [UNSOUND] * 2))
    elif wrong not in ("", "palette"):
        _damage(draw, found, path, wrong)
    return ids


def _damage(draw: st.DrawFn, found: Folder, path: Path, wrong: str) -> None:
    content = path.read_bytes()
    what = {"size": "a mask of another size", "value": "a value that is no class"}.get(wrong, f"{wrong} {path.suffix}")
    if wrong == "cut":
        path.write_bytes(content[: len(content) * draw(st.integers(1, 6)) // 10])
    elif wrong == "end":
        lost = draw(st.integers(2, 40))
        path.write_bytes(content[:-lost] + bytes(draw(st.sampled_from((0, lost)))))
    elif wrong == "gif":
        Image.new("L", (16, 16)).save(path, "GIF")
    elif wrong == "alone":
        path.unlink()
    elif wrong == "bytes":
        spoiled = bytearray(content)
        for place in draw(st.lists(st.integers(0, min(len(content), 300) - 1), min_size=1, max_size=4)):
            spoiled[place] = draw(st.integers(0, 255))
        path.write_bytes(bytes(spoiled))
        _spoil(found, what, ANYTHING, ANYTHING)
        return
    _spoil(found, what)


def _table(draw: st.DrawFn, found: Folder, root: Path, wrong: str) -> None:
    """Write a table, as spreadsheets may, with the first pair for the test."""
    keys = list(found.images)
    rows: list[Mapping[str, str]] = []
    for number, key in enumerate(keys):
        site = draw(st.sampled_from(SITES))
        split, group = ("te", "p0") if number == 0 else ("tr", f"p{draw(st.integers(1, 2))}")
        found.origins[key] = (split, site, group)
        cells = {"name": key, "split": split, "site": site, "group": group}
        rows.append({column: _as_typed(draw, column, cell) for column, cell in cells.items()})
    if wrong == "row":
        del rows[-1]
    elif wrong == "twice":
        rows.append(rows[0])
    columns = draw(st.permutations(("name", "split", "site", "group")))
    separator = draw(st.sampled_from((",", ";", "\t")))
    text = StringIO()
    writer = csv.DictWriter(text, columns, delimiter=separator, lineterminator=draw(st.sampled_from(("\n", "\r\n"))))
    writer.writeheader()
    writer.writerows(rows)
    first = draw(st.sampled_from(("", f"sep={separator}\r\n", "\r\n")))
    last = draw(st.sampled_from(("", separator * 3 + "\r\n", "\r\n\r\n")))
    encoding = draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")))
    found.table = root / "table.csv"
    content = first + text.getvalue() + last
    if wrong == "encoding":
        rest = content.replace("\u0416", "x").replace("\u65e5", "x").replace("\u0308", "").replace("\u0301", "")
        found.table.write_bytes((rest + f"\u00e4{separator}tr{separator}x{separator}x\n").encode("latin-1"))
    else:
        found.table.write_bytes(content.encode(encoding))
    if wrong:
        _spoil(found, f"a table: {wrong}", to_prepare=SOUND)  # which asks for no table


def _as_typed(draw: st.DrawFn, column: str, cell: str) -> str:
    cell = normalize(draw(forms), cell)
    return cell if column == "name" else cell + draw(st.sampled_from(("", " ", "\u00a0")))
