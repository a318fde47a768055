"""``flower-dgan policy``: what an owner lets be done with the images of a node."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flower_dgan.cli.consoles import console, print_table
from flower_dgan.errors import ConfigError

policy = typer.Typer(no_args_is_help=True, help="What the owner of a node lets be done with its images.")

Rules = Annotated[
    str, typer.Option("--policy", help="strict, standard, research or a file: as in the node's --node-config.")
]
Hash = Annotated[str, typer.Argument(help="Of the training's settings, as the node's log and `policy check` say it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether you mean it.")]


@policy.command()
def init(
    file: Annotated[Path, typer.Argument(help="New file, to be named in --node-config 'policy=\"...\"'.")],
    preset: Annotated[str | None, typer.Option(help="strict, standard or research.")] = None,
    label_maps: Annotated[bool | None, typer.Option(help="Whether label maps may leave.")] = None,
    approval: Annotated[bool | None, typer.Option(help="Whether you approve each training.")] = None,
    publish_label_maps: Annotated[
        bool | None, typer.Option(help="Whether pieces of label maps that leave may be published.")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help="Key of another owner's node, as `flower-dgan policy key` prints it there; once for each."),
    ] = None,
) -> None:
    """Write a policy; what is not given as an option is asked.

    Peers are with whom the node adds up sums that no server reads alone, as `privacy=moments-together` does.
    """
    from flower_dgan.config.read import read_settings
    from flower_dgan.node.own_policy import read_policy
    from flower_dgan.node.peers import Peers
    from flower_dgan.node.presets import PRESETS
    from flower_dgan.whole_file import whole_file

    if file.exists():
        raise ConfigError(f"{file} is there already: name a new file.")
    peers = read_settings(Peers, {"keys": peer or []}, "peers.")
    if preset is None:
        console.print("strict: nothing leaves but sums with noise, which are differentially private (privacy=moments).")
        console.print("standard: hurdles against attacks that were seen to read images, and no guarantee.")
        console.print("research: whoever starts a run can read the images.")
        preset = typer.prompt("Which one", default="standard")
    if preset not in PRESETS:
        raise ConfigError(f"There is no preset {preset}: choose {', '.join(PRESETS)}.")
    lines = [f"preset: {preset}"]
    if preset != "strict":
        if label_maps is None:
            console.print("Label maps identify: whoever has an image can tell whether its mask is among them.")
            label_maps = typer.confirm("May they leave, to the server?", default=False)
        if label_maps and publish_label_maps is None:
            publish_label_maps = typer.confirm("May pieces of them be published with synthetic images?", default=False)
        if approval is None:
            approval = typer.confirm("Do you want to approve each training?", default=preset == "standard")
        published = bool(label_maps and publish_label_maps)
        said = {"label_maps": label_maps, "publish_label_maps": published, "approval": approval}
        lines += [f"{name}: {str(value).lower()}" for name, value in said.items()]
    if peers.keys:
        lines += ["peers:", "  keys:", *(f'    - "{key}"' for key in peers.keys)]
    with whole_file(file, private=True) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    read_policy(file)
    console.print(f"""Start the node with --node-config '... policy="{file.resolve()}"'""", soft_wrap=True)


@policy.command()
def check(
    training: Annotated[Path, typer.Argument(help="A run directory, or a file that `flower-dgan config` wrote.")],
    rules: Rules = "standard",
) -> None:
    """Say what a training would let leave, what that could reveal at worst, and which rule stands against it."""
    from flower_dgan.node.own_policy import check_code, own_policy
    from flower_dgan.node.plain_words import in_plain_words
    from flower_dgan.node.training_file import read_training_file

    config = read_training_file(training, partial(check_code, {"policy": rules}))
    console.print(in_plain_words(own_policy({"policy": rules}), config), soft_wrap=True)


@policy.command()
def waiting(
    every: Annotated[bool, typer.Option("--all", help="Also those that were approved, ended or revoked.")] = False,
) -> None:
    """List the trainings that wait for this user's approval."""
    from flower_dgan.node.approvals import WAITING, Approvals

    table = Table("training", "state", "since", "run")
    for each in Approvals().all():
        if every or each.state == WAITING:
            since = datetime.fromtimestamp(each.since).astimezone().isoformat(timespec="seconds")
            table.add_row(each.settings, each.state, since, each.identity or "not begun")
    print_table(table)


@policy.command()
def approve(
    settings: Hash,
    training: Annotated[Path | None, typer.Option(help="Its settings, to approve it before it asks.")] = None,
    rules: Rules = "standard",
    yes: Yes = False,
) -> None:
    """Let a training that waits take part, after saying what it would release; once: another like it asks anew."""
    from flower_dgan.node.approvals import Approvals, settings_hash
    from flower_dgan.node.own_policy import check_code, own_policy
    from flower_dgan.node.plain_words import in_plain_words
    from flower_dgan.node.training_file import read_noted, read_training_file

    config, allow_code = None, partial(check_code, {"policy": rules})
    if training is not None:
        config = read_training_file(training, allow_code)
        if settings_hash(config) != settings:
            raise ConfigError(f"{training} is of training {settings_hash(config)}, not {settings}.")
    noted = [each.description for each in Approvals().all() if each.settings == settings]
    console.print(f"At a node with policy={rules} (--policy names another):", soft_wrap=True)
    if (shown := read_noted(noted[0], allow_code) if noted else config) is not None:
        console.print(in_plain_words(own_policy({"policy": rules}), shown), soft_wrap=True)
    if not yes:
        typer.confirm("Approve it?", abort=True)
    Approvals().approve(settings, config)
    console.print(f"Training {settings} is approved. `flower-dgan policy revoke {settings}` ends it.", soft_wrap=True)


@policy.command()
def counts() -> None:
    """Say how often this user's images were used at most, in all trainings: what a policy's limits are held against."""
    from flower_dgan.node.book import Book

    images, asked, drawn, trainings = Book().most_used()
    table = Table("of one image at most", "times")
    for what, times in (
        ("queries on its label map (queries_per_image)", asked),
        ("steps that it was drawn for (queries_per_image)", drawn),
        ("trainings of which something left (trainings)", trainings),
    ):
        table.add_row(what, f"{times:,}")
    print_table(table)
    console.print(f"{images:,} images were used.")


@policy.command()
def key(
    file: Annotated[
        Path | None, typer.Option("--file", help="Of the identity, if the node's --node-config names an identity-file.")
    ] = None,
) -> None:
    """Print the public key by which other owners name your node among their peers; it is made on first use."""
    from flower_dgan.node.identity import identity_path, public_identity_in

    console.print(public_identity_in(identity_path({}) if file is None else file.expanduser()), soft_wrap=True)


@policy.command(name="new-book")
def new_book(yes: Yes = False) -> None:
    """Begin a book in place of one that was lost, or go on with an older one that was put back."""
    from platformdirs import user_state_path

    from flower_dgan.node.new_book import begin_new_book

    console.print(
        "The book says how often each image was used, which trainings you approved or ended, and what patients "
        "spent of epsilon. What a lost book knew is forgotten for good: every limit is counted from 0, or from what "
        "the older book knows, and a server gets as much once more as it had before. If the newest book can be found, "
        "put it back in place of this.",
        soft_wrap=True,
    )
    if not yes:
        typer.confirm("Begin a new book?", abort=True)
    for path in begin_new_book(user_state_path("flower-dgan")):
        console.print(f"{path} says so.", soft_wrap=True)
    console.print("The nodes of this user answer again.")


@policy.command()
def revoke(settings: Hash) -> None:
    """End a training at once: this user's nodes answer nothing of it any more, and the run goes on without them."""
    from flower_dgan.node.approvals import Approvals

    Approvals().revoke(settings)
    what = "`flower-dgan clean` lists what the node keeps of it."
    console.print(f"Training {settings} is ended. {what}", soft_wrap=True)
