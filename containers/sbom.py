"""List what is in a folder of wheels: `python containers/sbom.py wheels` writes two files into it.

``sbom.json`` is a bill of materials in CycloneDX's format 1.6, for whoever has to know what is installed at a hospital;
by ``requirements.txt`` pip installs exactly these files, and no others.
"""

import hashlib
import json
import sys
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile


def read_wheel(path: Path) -> Message:
    """Return the metadata of a wheel.

    Raises
    ------
    ValueError
        If the file is no wheel.
    """
    try:
        with ZipFile(path) as wheel:
            (name,) = (
                each for each in wheel.namelist() if each.count("/") == 1 and each.endswith(".dist-info/METADATA")
            )
            return BytesHeaderParser().parsebytes(wheel.read(name))
    except (BadZipFile, ValueError) as error:
        raise ValueError(f"{path} is no wheel") from error


def component(metadata: Message, digest: str) -> dict[str, Any]:
    """Return what the bill says of one wheel: name, version, hash, and the licence that it states."""
    name, version = metadata["Name"], metadata["Version"]
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [{"license": {"name": _licence(metadata)}}],
    }


def _licence(metadata: Message) -> str:
    """Return what a wheel says of its licence; the old field may hold the whole text, so it comes last."""
    classified = [each for each in metadata.get_all("Classifier", []) if each.startswith("License ::")]
    stated = (metadata["License"] or "").strip().splitlines()
    if expression := metadata["License-Expression"]:
        return str(expression)
    return classified[-1].rpartition(":: ")[2] if classified else stated[0] if stated else "not stated"


def bill(folder: Path) -> dict[str, Any]:
    """Return the bill of materials of all wheels of a folder, by name; raises ValueError if it has none."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise ValueError(f"{folder} has no wheels")
    found = [component(read_wheel(each), hashlib.sha256(each.read_bytes()).hexdigest()) for each in wheels]
    found.sort(key=lambda each: each["purl"])
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": found}


def requirements(found: dict[str, Any]) -> str:
    """Return what ``pip install --require-hashes -r`` reads: each package in its version, by its hash."""
    return "".join(
        f"{each['name']}=={each['version']} --hash=sha256:{each['hashes'][0]['content']}\n"
        for each in found["components"]
    )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    written = bill(place)
    (place / "sbom.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    (place / "requirements.txt").write_text(requirements(written), encoding="utf-8")
    sys.stdout.write(f"{len(written['components'])} packages in {place / 'sbom.json'}\n")
