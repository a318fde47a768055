"""Sweeps: ``python -m flower_dgan.sweep algorithm=dgan,uagan seed=0,1``, a multirun of Hydra's."""

import itertools
import re
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import hydra
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from flower_dgan.config.places import conf_directory
from flower_dgan.errors import ConfigError, DganError, defect, told, unknown_name
from flower_dgan.report import write_sweep_report
from flower_dgan.report.sweep_jobs import failed_jobs
from flower_dgan.resolve import AS_THEY_ARE, check_override, in_quotes
from flower_dgan.sweep.one_run import check, run, run_overrides

_CONFIG, _DIRECTORY = "sweep", "hydra.sweep.dir="
_OWN = ("sweep.clients",)
_INTERRUPTED = 130
_SOFTWARE = 70  # what sysexits.h calls it
_PLAIN = re.compile(r"[\w/.:~+@%-]*")
_OF_HYDRA = re.compile(r"['\"]|\w+\(.*\)$|.*\$\{")

console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def plan(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Check every job of a sweep.

    Parameters
    ----------
    arguments : sequence of str
        Overrides of the command line, some of which have several values.

    Returns
    -------
    Path
        The sweep directory.
    list of str
        The same overrides, with this directory, and with names of job directories that show what is swept only.

    Raises
    ------
    DganError
        Any value of any setting is wrong, or values do not go together; with the overrides of the job. The sweep
        directory holds something else.
    """
    with initialize_config_dir(str(conf_directory()), version_base="1.3"):
        try:
            parser = OverridesParser.create(GlobalHydra.instance().config_loader())
            parsed = parser.parse_overrides(list(arguments))
            own = [str(each.input_line) for each in parsed if each.is_hydra_override()]
            choices = [_choices(each) for each in parsed if not each.is_hydra_override()]
            for choice in itertools.chain.from_iterable(choices):
                _check_name(choice)
            settings = compose(_CONFIG, overrides=own, return_hydra_config=True)
            directory = Path(str(settings.hydra.sweep.dir)).expanduser().resolve()
        except (HydraException, OmegaConfBaseException) as error:
            reason = " ".join(str(error).partition("See https")[0].split())
            raise ConfigError(f"The overrides {shlex.join(arguments)} cannot be applied: {reason}") from error
    _require_own(directory)
    for job in itertools.product(*choices):
        _check_job(job)
    constant = [each.key_or_group for each in parsed if not each.is_hydra_override() and not each.is_sweep_override()]
    excluded = ",".join(constant)
    return directory, [
        *_without_directory(arguments),
        _directory(directory),
        f"hydra.job.config.override_dirname.exclude_keys=[{excluded}]",
    ]


def main() -> None:
    """Run a sweep, and write its report, also of a part of it."""
    arguments = sys.argv[1:]
    start = hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name=_CONFIG)(run)
    options = [each for each in arguments if each.startswith("-")]
    if set(options) - {"-m", "--multirun"}:  # --help, --cfg and the like run nothing
        start()
        return
    given = [_with_quoted_paths(each) for each in arguments if each not in options]
    try:
        directory, overrides = plan(given)
        console.print(f"Sweep directory: {directory}")
        sys.argv[1:] = ["--multirun", *overrides]
        try:
            start()
        except KeyboardInterrupt:
            again = shlex.join([*_without_directory(given), _directory(directory)])
            console.print(f"Interrupted. To go on: python -m flower_dgan.sweep -m {again}")
            raise SystemExit(_INTERRUPTED) from None
        finally:
            _report(directory)
    except Exception as error:
        if (sentence := told(error)) is not None:
            console.print(f"Error: {sentence}", style="red")
            raise SystemExit(1) from error
        traceback.print_exception(error)
        console.print(f"Defect: {defect(error)}", style="red")
        raise SystemExit(_SOFTWARE) from error


def _report(directory: Path) -> None:
    """Write the report of what there is, and name what failed."""
    if not any(directory.glob("*/.hydra")):
        return
    console.print(f"Report: {write_sweep_report(directory)}")
    for name, error in failed_jobs(directory).items():
        console.print(f"{name} failed: {error}", style="red")


def _require_own(directory: Path) -> None:
    """Raise ConfigError if a directory is there and holds something, and not a sweep that is to go on."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ConfigError(f"hydra.sweep.dir={directory} is no folder: name a new one.")
    ours = any((directory / name).is_file() for name in ("lock", "multirun.yaml")) or any(directory.glob("*/.hydra"))
    if not ours and any(directory.iterdir()):
        raise ConfigError(f"hydra.sweep.dir={directory} is not empty and holds no sweep: name a new folder.")


def _choices(override: Override) -> list[str]:
    """Return the override with each of its values, or with the least where it is an interval."""
    key = override.get_key_element()
    if override.is_discrete_sweep():
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}"]
    return [str(override.input_line)]


def _check_name(override: str) -> None:
    key = override.partition("=")[0]
    if not key.startswith("sweep."):
        check_override(override)
    elif key not in _OWN:
        raise ConfigError(unknown_name("setting", key, _OWN))


def _check_job(overrides: Sequence[str]) -> None:
    clients = [yaml.safe_load(each.partition("=")[2]) for each in overrides if each.startswith("sweep.clients=")]
    try:
        check(run_overrides(overrides), clients[-1] if clients else None)
    except DganError as error:
        raise type(error)(f"{shlex.join(overrides)}: {error}") from error


def _with_quoted_paths(override: str) -> str:
    """Return an override whose paths Hydra takes as they are; commas are between several, but of the sweep's own.

    What is in quotes already, a function of Hydra's such as ``choice(...)`` and an interpolation stay as they are.
    """
    key, _, value = override.partition("=")
    if key not in AS_THEY_ARE and f"{key}=" != _DIRECTORY:
        return override
    paths = [value] if f"{key}=" == _DIRECTORY else value.split(",")
    if _OF_HYDRA.match(value) or all(_PLAIN.fullmatch(each) for each in paths):
        return override
    return f"{key}={','.join(map(in_quotes, paths))}"


def _without_directory(overrides: Sequence[str]) -> list[str]:
    return [each for each in overrides if not each.startswith(_DIRECTORY)]


def _directory(path: Path) -> str:
    """Return the override that sets the sweep directory, quoted as Hydra wants it."""
    return f"{_DIRECTORY}{in_quotes(str(path))}"
