"""The node configuration as a SuperNode's command line has it."""

from pathlib import Path

from flwr.common.config import parse_config_args

from flower_dgan.errors import ConfigError
from flower_dgan.whole_file import require_file


def read_node_config(text: str) -> dict[str, bool | float | int | str]:
    """Read what ``--node-config`` says, as Flower does: ``'data-path="/data" name="clinic"'``.

    Raises
    ------
    ConfigError
        If Flower could not read it.
    """
    try:
        if text.endswith(".toml"):  # a file, as Flower reads it
            require_file(Path(text))
        found = parse_config_args([text])
    except (Exception, SystemExit) as error:  # Flower's own reader ends the process on some
        raise ConfigError(f"""--node-config cannot be read ({error}): write 'data-path="/data" name="a"'.""") from error
    if not found:
        raise ConfigError(f"""--node-config {text!r} says nothing: write 'data-path="/data" name="a"'.""")
    return dict(found)
