"""Where the server's networks compute: said in the log and the report, before any work."""

import logging

from flower_dgan.config import Config
from flower_dgan.device import AUTO, describe, resolve_device, why_no_gpu
from flower_dgan.federation.run_directory import RunDirectory
from flower_dgan.networks.build import ImageShape
from flower_dgan.networks.footprint import discriminator_footprint, generator_footprint
from flower_dgan.report.run_metrics import read_metrics

logger = logging.getLogger("flwr")


def say_where(directory: RunDirectory, config: Config) -> None:
    """Log and write down the server's device, and what is to be known of it.

    That is why there is no GPU, where the machine has one that nobody uses; and, of a training that goes on, that it
    was on another device before: all of it is read there, and its numbers are no longer exactly those of one device.

    Raises
    ------
    ConfigError
        If the device is not there.
    """
    device = resolve_device(config.device)
    what = describe(device, config.precision)
    logger.info("The server's networks are on %s", what)
    if config.device == AUTO and device.type == "cpu" and (reason := why_no_gpu()) is not None:
        logger.warning("The server's networks are on the CPU: %s.", reason)
    before = read_metrics(directory.path).devices if directory.has_measurements else ()
    if before and before[-1].device != str(device):
        logger.warning(
            "This training was on %s before and goes on on %s: exactly the same numbers come of one device alone.",
            before[-1].device,
            device,
        )
    directory.measure("device", who="server", device=str(device), what=what, attempt=directory.training.attempt)


def say_memory(config: Config, shape: ImageShape) -> None:
    """Log, before the first round, how much memory networks and a bundle are about to take, at least."""
    exchange = config.exchange
    images = exchange.exchanges * exchange.batch_size
    bundle = 4 * images * shape.channels * shape.image_size**2
    networks = {"the generator": generator_footprint, "a client's discriminator": discriminator_footprint}
    for whose, footprint in networks.items():
        try:
            logger.info("Memory, at least: %s %s", whose, footprint(config, shape))
        except Exception as error:  # of a network of one's own that cannot be built without numbers
            logger.info("The memory of %s is not known: %s", whose, error)
    logger.info(
        "Memory, at least: a bundle of %d images of %d x %d pixels %.1f MiB, and its feedback as much",
        images,
        shape.image_size,
        shape.image_size,
        bundle / 2**20,
    )
