"""Data sets as they are given out become folders with ``images/`` and ``masks/``, which runs read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from flower_dgan.data.prepare.aerial import find_city_osm, find_whu
from flower_dgan.data.prepare.asyndgan_hdf5 import find_asyndgan
from flower_dgan.data.prepare.bbbc010 import find_bbbc010
from flower_dgan.data.prepare.drawn_maps import with_class_maps
from flower_dgan.data.prepare.faces import find_celeba
from flower_dgan.data.prepare.folder import find_folder
from flower_dgan.data.prepare.monuseg import find_kumar, find_monuseg
from flower_dgan.data.prepare.original import Found, Original, PrepareSettings
from flower_dgan.data.prepare.pets import find_pets
from flower_dgan.data.prepare.runner import Prepared, write_folder
from flower_dgan.data.prepare.scenes import find_lsun
from flower_dgan.data.prepare.ships import find_ships
from flower_dgan.data.prepare.tumours import find_brats
from flower_dgan.errors import ConfigError, DataError, unknown_name

__all__ = ["DATA_SETS", "PrepareSettings", "Prepared", "prepare"]


@dataclass(frozen=True)
class DataSet:
    """A data set that can be prepared.

    Attributes
    ----------
    find : callable
        Given its folder and the settings, returns what there is; raises DataError if it is not laid out as expected.
    options : frozenset of str
        Which of the settings that are not for every data set it takes.
    """

    find: Callable[[Path, PrepareSettings], Found]
    options: frozenset[str] = frozenset()


def _alone(find: Callable[[Path], Found]) -> DataSet:
    """Return a data set that is found without looking at the settings."""
    return DataSet(lambda root, _: find(root))


DATA_SETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "asyndgan-hdf5": DataSet(find_asyndgan, frozenset({"instances", "class_maps"})),
        "bbbc010": DataSet(find_bbbc010, frozenset({"masks"})),
        "brats": DataSet(find_brats, frozenset({"modalities"})),
        "celeba": _alone(find_celeba),
        "city-osm": DataSet(find_city_osm, frozenset({"nearest_colour"})),
        "folder": DataSet(find_folder, frozenset({"instances", "masks", "palette", "nearest_colour", "class_maps"})),
        "kumar": DataSet(find_kumar, frozenset({"layers", "class_maps"})),
        "lsun": _alone(find_lsun),
        "monuseg": DataSet(find_monuseg, frozenset({"layers", "class_maps"})),
        "pets": _alone(find_pets),
        "ships": _alone(find_ships),
        "whu": _alone(find_whu),
    }
)
_FLAGS = MappingProxyType(
    {
        "instances": "--instances",
        "masks": "--masks",
        "palette": "--colour",
        "nearest_colour": "--nearest-colour",
        "modalities": "--modality",
        "layers": "--layer",
        "class_maps": "--class-maps",
    }
)


def prepare(
    name: str,
    source: Path,
    output: Path,
    settings: PrepareSettings,
    track: Callable[[Sequence[Original]], Iterable[Original]] = iter,
) -> Prepared:
    """Turn a data set into a folder that runs read.

    Parameters
    ----------
    name : str
        One of ``DATA_SETS``.
    source : Path
        Its folder.
    output : Path
        A new folder, or one that the same call has begun.
    settings : PrepareSettings
        How to write the pairs.
    track : callable
        Is given what is to be read and yields it again; for a progress bar.

    Raises
    ------
    ConfigError
        If there is no such data set, an option is not for it, or a package is missing.
    DataError
        If the files are not as expected, or the output is something else's.
    """
    if name not in DATA_SETS:
        raise ConfigError(unknown_name("data set to prepare", name, DATA_SETS))
    default = PrepareSettings()
    for option, flag in _FLAGS.items():
        if option not in DATA_SETS[name].options and getattr(settings, option) != getattr(default, option):
            takers = ", ".join(known for known in DATA_SETS if option in DATA_SETS[known].options)
            raise ConfigError(f"{flag} is for {takers}, not for {name}: leave it out.")
    if not source.exists():
        raise DataError(f"There is no {source.absolute()}: give the folder of {name}'s own files.")
    found = with_class_maps(DATA_SETS[name].find(source, settings), settings)
    if settings.only_labelled and not found.classes:
        raise ConfigError(f"{name} has no masks: leave --only-labelled out.")
    about = {"dataset": name, "source": str(source.resolve()), "classes": list(found.classes)}
    return write_folder(found, output, settings, about, track)
