"""Mask R-CNN with a head for centre lines: torchvision's, and 16 ordered points a region beside box and mask.

He 2017, "Mask R-CNN". The head sees the features of a region that the mask is made from, and its points are in the
units of the region's box. They have an order and no direction: a line is right from either end.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN  # type: ignore[import-untyped]
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone  # type: ignore[import-untyped]
from torchvision.models.detection.roi_heads import RoIHeads  # type: ignore[import-untyped]

from flower_dgan.data.centre_lines import POINTS

_WIDTH, _HIDDEN, _POOLED = 64, 128, 7
_ENLARGED = 2  # a nematode is nine pixels wide then: two of the finest features of a ResNet
_SAME = 0.7  # intersection over union of boxes of one object; at 0.5 those of worms that cross are taken for one
_MOST = 400  # objects of an image
_SHARP = 0.05  # box sides, within which the loss of a point is quadratic


class LineHead(nn.Module):
    """Points of a centre line, of the features of regions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, _WIDTH, 3, 1, 1), nn.ReLU(), nn.Conv2d(_WIDTH, _WIDTH, 3, 2, 1), nn.ReLU()
        )
        self.points = nn.Sequential(nn.Linear(_WIDTH * _POOLED**2, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 2 * POINTS))

    def forward(self, regions: Tensor) -> Tensor:
        """Return points (regions, 16, 2), x and y in box sides from its top left, of (regions, channels, 14, 14)."""
        found: Tensor = self.points(self.convolutions(regions).flatten(1))
        return found.view(-1, POINTS, 2) + 0.5


def line_loss(points: Tensor, boxes: Tensor, lines: Tensor) -> Tensor:
    """Return the smooth L1 loss of lines to the nearer of both directions of the true ones; 0 without a region.

    Parameters
    ----------
    points : float32 Tensor (regions, 16, 2)
        Of a :class:`LineHead`.
    boxes : float32 Tensor (regions, 4)
        Left, top, right and bottom of each region, in pixels.
    lines : float32 Tensor (regions, 16, 2)
        True points, x and y in pixels.
    """
    if not len(boxes):
        return points.sum() * 0
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)[:, None]
    true = (lines - boxes[:, None, :2]) / sides
    either = [
        F.smooth_l1_loss(points, each, reduction="none", beta=_SHARP).mean((1, 2)) for each in (true, true.flip(1))
    ]
    return torch.minimum(*either).mean()


class LineRoIHeads(RoIHeads):  # type: ignore[misc]
    """torchvision's heads of regions and, after them, a line of each region that gets a mask.

    What torchvision computes, and the numbers that it draws, are the same as without lines.
    """

    line_head: LineHead

    def select_training_samples(self, proposals: list[Tensor], targets: list[dict[str, Tensor]]) -> tuple[Tensor, ...]:
        """Choose regions as torchvision does, and note which of them get a mask, and whose it is."""
        chosen: tuple[Tensor, ...] = super().select_training_samples(proposals, targets)
        boxes, matched, labels, _ = chosen
        self._with_mask = [
            (box[label > 0], target["lines"][match[label > 0]])
            for box, match, label, target in zip(boxes, matched, labels, targets, strict=True)
        ]
        return chosen

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return what torchvision does; in training with ``loss_line`` too, otherwise with ``lines`` of each object."""
        result, losses = super().forward(features, proposals, image_shapes, targets)
        if self.training:
            boxes, lines = ([pair[which] for pair in self._with_mask] for which in (0, 1))
            points = self._lines(features, boxes, image_shapes)
            return result, {**losses, "loss_line": line_loss(points, torch.cat(boxes), torch.cat(lines))}
        boxes = [each["boxes"] for each in result]
        of_images = torch.split(self._lines(features, boxes, image_shapes), [len(each) for each in boxes])
        for each, points in zip(result, of_images, strict=True):
            corner, other = each["boxes"][:, None, :2], each["boxes"][:, None, 2:]
            each["lines"] = corner + points * (other - corner)
        return result, losses

    def _lines(self, features: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        found: Tensor = self.line_head(self.mask_roi_pool(features, boxes, image_shapes))
        return found


class MaskRcnn(nn.Module):
    """Objects of images of any size, each by box, mask and, with the head, centre line.

    Parameters
    ----------
    channels : int
        Of the images.
    skeleton : bool
        Whether there is a head for centre lines.
    used : bool
        Whether objects have the lines that it finds, and are ranked by them, too.
    detector : MaskRCNN or None
        torchvision's, of two classes, for images that need no scaling of values; None for one on a ResNet-50 with a
        feature pyramid, of random weights.

    Attributes
    ----------
    used : bool
        As given.
    threshold : float
        From which score on an object counts; a buffer.
    """

    threshold: Tensor

    def __init__(self, channels: int, *, skeleton: bool, used: bool, detector: MaskRCNN | None = None) -> None:
        super().__init__()
        self.used = used
        self.detector = detector_on_resnet(channels) if detector is None else detector
        if skeleton:
            heads = self.detector.roi_heads
            heads.__class__ = LineRoIHeads  # as torchvision built them, with one more
            heads.line_head = LineHead(self.detector.backbone.out_channels)
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Find objects in float32 images (batch, channels, height, width) in [-1, 1]; in evaluation mode.

        Returns
        -------
        list of dict
            For each image ``boxes`` (objects, 4), ``scores`` (objects,), ``masks`` (objects, 1, height, width) of
            probabilities and, with the head, ``lines`` (objects, 16, 2), x and y in pixels.
        """
        self._enlarge(images)
        found: list[dict[str, Tensor]] = self.detector(list(images))
        times = 1 / _ENLARGED  # torchvision brings back boxes and masks, and knows nothing of lines
        return [{**each, "lines": each["lines"] * times} if "lines" in each else each for each in found]

    def losses(self, images: Tensor, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the losses of images as for :meth:`forward`, in training mode.

        Parameters
        ----------
        images : float32 Tensor (batch, channels, height, width)
            In [-1, 1].
        targets : sequence of dict
            For each image, of its objects, ``boxes`` (objects, 4) in pixels, ``labels`` int64, all 1, ``masks`` uint8
            (objects, height, width) and ``lines`` (objects, 16, 2), x and y in pixels.
        """
        self._enlarge(images)
        large = [{**each, "lines": _ENLARGED * each["lines"]} for each in targets]
        found: dict[str, Tensor] = self.detector(list(images), large)
        return found

    def _enlarge(self, images: Tensor) -> None:
        """Let torchvision enlarge images by one factor, whatever their size: windows in training and whole images."""
        height, width = images.shape[2:]
        self.detector.transform.min_size = (_ENLARGED * min(height, width),)
        self.detector.transform.max_size = _ENLARGED * max(height, width)


def detector_on_resnet(channels: int) -> MaskRCNN:
    """Return torchvision's Mask R-CNN for images of so many channels, with random weights."""
    trunk = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d)
    if channels != 3:
        trunk.body.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return MaskRCNN(
        trunk,
        2,
        image_mean=[0.0] * channels,
        image_std=[1.0] * channels,
        box_nms_thresh=_SAME,
        box_detections_per_img=_MOST,
    )
