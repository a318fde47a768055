"""Settings of the classes that do not fit each other: how many there are, their names and their colours."""

from flower_dgan.config.data_settings import COLOUR, MOST_CLASSES, DataConfig
from flower_dgan.errors import ConfigError

_MOST_IMAGE_CLASSES = 256  # a label map that holds the class of its image has 8 bits a pixel
_LONGEST_NAME = 64


def check_classes(data: DataConfig) -> None:
    """Raise ConfigError for a number of classes that cannot be, or names or colours that are not those of classes."""
    most = _MOST_IMAGE_CLASSES if data.condition == "class" else MOST_CLASSES
    if data.classes is not None and not 2 <= data.classes <= most:
        raise ConfigError(
            f"data.classes={data.classes} must be from 2 (background and another) to {most}, or null to take the "
            "highest class that the data hold."
        )
    if data.target == "label-maps" and data.classes not in (None, 2):
        raise ConfigError(
            f"data.target=label-maps draws masks of background and foreground, and data.classes={data.classes}: set "
            "data.classes=2, data.class_names=[] and data.class_colours=[]."
        )
    if data.masks in ("binary", "objects") and data.classes not in (None, 2) and data.condition == "label-map":
        raise ConfigError(
            f"data.masks={data.masks} has two classes, background and foreground, and data.classes={data.classes}: set "
            "data.classes=2, data.class_names=[] and data.class_colours=[], or data.masks=classes."
        )
    for name, given in (("class_names", data.class_names), ("class_colours", data.class_colours)):
        if given and len(given) != data.classes:
            raise ConfigError(
                f"data.{name} has {len(given)} entries, and data.classes={data.classes or 'null'}: name each class "
                f"from 0, the background, and set data.classes={len(given)}; or set data.{name}=[]."
            )
    for name in data.class_names:
        if data.class_names.count(name) > 1:
            raise ConfigError(f"data.class_names has '{name}' twice: give each class a name of its own.")
        if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= _LONGEST_NAME:
            raise ConfigError(
                f"data.class_names has {name[:_LONGEST_NAME]!r}: a name has 1 to {_LONGEST_NAME} characters that can "
                "be printed, without blanks around them."
            )
    for colour in data.class_colours:
        if COLOUR.fullmatch(colour) is None:
            raise ConfigError(
                f"data.class_colours: {colour[:_LONGEST_NAME]!r} is no colour: write #rrggbb, such as #ff0000 for red."
            )
