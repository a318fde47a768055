"""``flower-dgan invite``: what the owner of a node is given before a first training."""

import hashlib
import json
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from flower_dgan.cli.consoles import console
from flower_dgan.cli.new_places import new_folder
from flower_dgan.errors import ConfigError
from flower_dgan.names import check_name
from flower_dgan.printable import misleads

_ADDRESS = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]):(\d{1,5})")
_LARGEST = 2**20  # bytes of a certificate


def invite(
    owner: Annotated[str, typer.Argument(help="What the node is to be called, such as clinic-a.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the kit.")],
    superlink: Annotated[str, typer.Option(help="As the node reaches it, such as server.example.org:8000.")],
    certificate: Annotated[Path, typer.Option(help="ca.pem, of the authority that signed the server's certificate.")],
    data_path: Annotated[Path, typer.Option(help="Where the owner's images are, as far as you know.")] = Path(
        "/data/pairs"
    ),
) -> None:
    """Write a start kit for the owner of a node: certificate, settings, policy, service, container and checksums.

    There is no secret in it. The owner makes the node's key.
    """
    check_name(owner, ConfigError, "The node's name")
    if not _ADDRESS.fullmatch(superlink):
        raise ConfigError(f"--superlink {superlink!r} is no address: write <host>:<port>, such as example.org:8000.")
    if not data_path.is_absolute() or misleads(str(data_path)) or ":" in str(data_path):
        raise ConfigError("--data-path is to be an absolute path without colons and control characters.")
    content, fingerprint = _certificate(certificate)
    path = json.dumps(str(data_path), ensure_ascii=False)
    values = {
        "owner": owner,
        "name": json.dumps(owner, ensure_ascii=False),
        "superlink": superlink,
        "superlink_quoted": json.dumps(superlink),
        "data_path": path,
        "mounted_path": path.replace("$", "$$"),  # compose puts variables where one is
        "fingerprint": fingerprint,
        "version": version("flower-dgan"),
    }
    with new_folder(folder) as new:
        (new / "ca.pem").write_bytes(content)
        for each in files("flower_dgan.cli").joinpath("kit").iterdir():
            (new / each.name).write_text(Template(each.read_text(encoding="utf-8")).substitute(values), "utf-8")
        sums = "".join(
            f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in sorted(new.iterdir())
        )
        (new / "SHA256SUMS").write_text(sums, encoding="utf-8")
        (new / "state").mkdir(mode=0o700)  # of the container
    console.print(f"{folder.resolve()} is for {owner}, who begins with its README.md.", soft_wrap=True)
    console.print(f"Tell them the fingerprint by another way than the folder goes: {fingerprint}", soft_wrap=True)


def _certificate(path: Path) -> tuple[bytes, str]:
    """Return a certificate's file and its fingerprint, as openssl prints it; raises ConfigError if it is none."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificates

    try:
        with path.expanduser().open("rb") as file:
            content = file.read(_LARGEST)
        (certificate,) = load_pem_x509_certificates(content)
    except OSError as error:
        raise ConfigError(f"The certificate {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} does not hold one certificate in PEM: name the ca.pem of the authority.") from error
    if b"PRIVATE KEY" in content:
        raise ConfigError(f"{path} holds a private key, which nobody is to be given: name the certificate alone.")
    return content, certificate.fingerprint(SHA256()).hex(":").upper()
