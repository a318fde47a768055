"""What attacks found, and whether it is what the owner's policy promises."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_dgan.audit.intervals import CONFIDENCE, Area, area_under_curve, epsilon_at_least, most_that_can_be_shown
from flower_dgan.audit.reading_images import Images, Read, best_psnr, psnr_of_the_mean
from flower_dgan.node.policy import ReleasePolicy
from flower_dgan.run.audit_file import FILE
from flower_dgan.whole_file import whole_file

DECIBELS = 3.0
"""By how much what is read may be better than the mean of the images, which tells of no single one."""
PSNR, AUC, EPSILON = "PSNR, dB", "AUC", "epsilon at least"


@dataclass(frozen=True)
class Finding:
    """What one attack found.

    Attributes
    ----------
    attack : str
        A few words.
    figure : str
        What ``value`` is; empty where the node did not answer.
    value, low, high : float or None
        The figure, and its interval of 95 % if it has one.
    allowed : float or None
        How high the figure may be by what the policy promises; None where it promises nothing.
    refused : tuple of str
        Rules that stood against the attack, or against ways of it.
    holds : bool
        Whether what is promised holds.
    said : str
        In words.
    """

    attack: str
    figure: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    allowed: float | None = None
    refused: tuple[str, ...] = ()
    holds: bool = True
    said: str = ""


def has_hurdles(policy: ReleasePolicy) -> bool:
    """Return whether a policy claims that the known ways to read images are held off: ``research`` does not."""
    return not policy.feedback or policy.distinct_images > 1


def of_reading(attack: str, reads: list[Read], images: Images, policy: ReleasePolicy) -> Finding:
    """Return what several ways of reading one set of images found: the best of them counts."""
    refused = tuple(dict.fromkeys(each.refused for each in reads if each.refused))
    read = [each.images for each in reads if not each.refused]
    if not read:
        return Finding(attack, refused=refused, said="refused")
    best, mean = best_psnr(np.concatenate(read), images), psnr_of_the_mean(images)
    allowed = mean + DECIBELS if has_hurdles(policy) else None
    holds = allowed is None or best <= allowed
    said = f"the mean of the images has {mean:.1f} dB" + ("" if holds else "; an image was READ")
    return Finding(attack, PSNR, best, allowed=allowed, refused=refused, holds=holds, said=said)


def of_area(attack: str, area: Area, allowed: float | None, said: str = "") -> Finding:
    """Return what a test of membership found; it breaks a promise where its whole interval is above what is allowed."""
    holds = allowed is None or area.low <= allowed
    words = said or ("nothing is promised of it" if allowed is None else "as often as theory allows")
    return Finding(
        attack, AUC, area.value, area.low, area.high, allowed, holds=holds, said=words if holds else "MORE than allowed"
    )


def of_scores(
    attack: str, scores: NDArray[np.float64], inside: NDArray[np.bool_], allowed: float | None = None
) -> Finding:
    """Return the same of scores of candidates, of which some are inside."""
    return of_area(attack, area_under_curve(scores[inside], scores[~inside]), allowed)


def of_canaries(
    attack: str, scores: NDArray[np.float64], inside: NDArray[np.bool_], delta: float, promised: float | None
) -> Finding:
    """Return the epsilon that canaries show at least, against the one that is promised."""
    value, most = epsilon_at_least(scores, inside, delta), most_that_can_be_shown(len(scores), delta)
    holds = promised is None or value <= promised
    said = f"{len(scores)} canaries; they could show {most:.2f} at most"
    if promised is None:
        said += "; nothing is promised of it"
    return Finding(
        attack, EPSILON, value, low=value, allowed=promised, holds=holds, said=said if holds else f"{said}; BROKEN"
    )


def write_findings(directory: Path, policy: str, findings: list[Finding]) -> None:
    """Write ``audit.json`` into the directory of a run."""
    values: dict[str, Any] = {
        "policy": policy,
        "confidence": CONFIDENCE,
        "holds": all(each.holds for each in findings),
        "findings": [asdict(each) for each in findings],
    }
    with whole_file(directory / FILE) as partial:
        partial.write_text(json.dumps(values, indent=1), encoding="utf-8")
