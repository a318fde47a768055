"""The picture of the README: label maps, what the generator made of them, and the real images, of a run on the digits.

python benchmarks/picture.py <run directory> docs/digits.png
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import typer
from matplotlib import pyplot as plt
from PIL import Image

ROWS = {"label map (sent to the server)": 0, "synthetic image": 1, "real image (stays at the client)": 3}
"""What each row shows, and in which column of the run's last samples it stands: those have an image a row."""


def main(run: Path, picture: Path) -> None:
    """Draw the last samples of a run, those of its label maps side by side."""
    samples = Image.open(max((run / "samples").glob("*.png")))
    side = samples.width // 4
    columns = samples.height // side
    figure, axes = plt.subplots(len(ROWS), columns, figsize=(columns, len(ROWS) * 1.4))
    for (title, column), row in zip(ROWS.items(), axes, strict=True):
        for place, axis in enumerate(row):
            tile = (column * side, place * side, (column + 1) * side, (place + 1) * side)
            axis.imshow(samples.crop(tile), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.axis("off")
        row[0].set_title(title, loc="left", fontsize=10)
    figure.tight_layout(pad=0.3, w_pad=0)
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    typer.run(main)
