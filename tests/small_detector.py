"""A Mask R-CNN that is small enough for a CPU."""

from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

WIDTH = 16
"""Channels of the trunk's features."""


class Trunk(nn.Module):
    """Features of stride 4, of which half are where they lie."""

    out_channels = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, 2, 2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.BatchNorm2d(24),
            nn.ReLU(), nn.Conv2d(24, WIDTH, 3, 1, 1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"0": self.layers(images)}


def small_detector() -> MaskRCNN:
    """Return torchvision's Mask R-CNN of two classes on a trunk of three convolutions, for images of one channel."""

    def pool(side: int) -> MultiScaleRoIAlign:
        return MultiScaleRoIAlign(["0"], side, 2)

    return MaskRCNN(
        Trunk(), None, image_mean=[0.0], image_std=[1.0],
        rpn_anchor_generator=AnchorGenerator(((24, 48, 80),), ((0.2, 1.0, 5.0),)),
        rpn_pre_nms_top_n_train=100, rpn_post_nms_top_n_train=40, rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_test=40, rpn_batch_size_per_image=64, box_batch_size_per_image=32,
        box_roi_pool=pool(7), box_head=TwoMLPHead(WIDTH * 49, 64), box_predictor=FastRCNNPredictor(64, 2),
        box_nms_thresh=0.7, box_detections_per_img=20,
        mask_roi_pool=pool(14), mask_head=MaskRCNNHeads(WIDTH, (WIDTH,), 1),
        mask_predictor=MaskRCNNPredictor(WIDTH, WIDTH, 2),
    )  # fmt: skip
