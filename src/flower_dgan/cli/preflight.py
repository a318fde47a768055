"""``flower-dgan preflight``: at a node, before its first training."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from flower_dgan.cli.consoles import console
from flower_dgan.errors import ConfigError, DganError
from flower_dgan.names import check_name

if TYPE_CHECKING:
    from flower_dgan.node.simulation import NodeConfig
    from flower_dgan.readiness import Finding


def preflight(
    overrides: Annotated[
        str, typer.Argument(help="As of the run that is to come, such as 'data.image_size=128'.")
    ] = "",
    node_config: Annotated[
        str, typer.Option(help="""As of the SuperNode: a text, or a file that ends in .toml.""")
    ] = "",
    superlink: Annotated[str | None, typer.Option(help="Address; left out: nothing is connected to.")] = None,
    root_certificates: Annotated[Path | None, typer.Option(help="As of the SuperNode.")] = None,
    auth_supernode_private_key: Annotated[Path | None, typer.Option(help="As of the SuperNode.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Connect without TLS.")] = False,
) -> None:
    """Look at a node before its first training: data, policy, machine, key, the SuperLink; and train once on noise.

    Takes the options of `flower-dgan supernode`. Nothing of the images leaves. It exits with 1 if anything is wrong.
    """
    from flower_dgan.flower.node_config import read_node_config

    if superlink is not None and (root_certificates is None) != insecure:
        raise ConfigError("Give either --root-certificates or --insecure, as for the SuperNode.")
    owner = read_node_config(node_config)
    for key in ("data-path", "name"):
        if key not in owner:
            raise ConfigError(f"""--node-config has no {key}: write 'data-path="/data" name="clinic-a"'.""")
    check_name(str(owner["name"]), ConfigError, "The name in --node-config")
    wrong = 0
    for each in _findings(overrides, owner, superlink, root_certificates, auth_supernode_private_key):
        wrong += not each.sound
        mark = ("ok     ", "bold green") if each.sound else ("WRONG  ", "bold red")
        console.print(Text.assemble(mark, f"{each.what}: {each.said}"), soft_wrap=True)
    _print_policy(overrides, owner)
    console.print(f"Wrong: {wrong}")
    if wrong:
        raise typer.Exit(1)


def _findings(
    overrides: str, owner: "NodeConfig", superlink: str | None, certificates: Path | None, key: Path | None
) -> "Iterator[Finding]":
    from platformdirs import user_state_path

    from flower_dgan.flower.reach import fingerprint, reach, read_certificates
    from flower_dgan.readiness import finding, look_at_node
    from flower_dgan.resolve import resolve

    config = resolve(f"data=folder {overrides}")
    yield from look_at_node(config, owner, user_state_path("flower-dgan"))
    if key is not None:
        yield finding("key", lambda: f"{fingerprint(key)}, of which the server's operator registers the public half")
    if superlink is not None:

        def connected() -> str:
            context = None if certificates is None else read_certificates(certificates)
            return "; ".join(reach(superlink, context))

        yield finding("SuperLink", connected)


def _print_policy(overrides: str, owner: "NodeConfig") -> None:
    """Print what the training would let leave the node, if its settings can be looked at under the owner's policy."""
    from flower_dgan.node.own_policy import check_code, own_policy
    from flower_dgan.node.plain_words import in_plain_words
    from flower_dgan.node.training_file import as_at_a_node
    from flower_dgan.resolve import resolve

    try:
        config = as_at_a_node(resolve(f"data=folder {overrides}"), lambda name, path: check_code(owner, name, path))
        console.print("", in_plain_words(own_policy(owner), config), "", sep="\n", soft_wrap=True)
    except DganError:
        return  # the check of the policy said why
