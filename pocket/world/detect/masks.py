"""Binary masks: SciPy's morphology with plain types, and the types of what the detectors pass around."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
_EIGHT: Final = np.ones((3, 3), bool)


def dilated(mask: Mask, pixels: int = 1) -> Mask:
    """Return a mask widened by some pixels."""
    return np.asarray(ndimage.binary_dilation(mask, iterations=pixels), bool)


def eroded(mask: Mask, pixels: int = 1, edge: int = 0) -> Mask:
    """Return a mask peeled by some pixels; with `edge` 1 not at the border of the array."""
    return np.asarray(ndimage.binary_erosion(mask, iterations=pixels, border_value=edge), bool)


def filled(mask: Mask) -> Mask:
    """Return a mask without holes."""
    return np.asarray(ndimage.binary_fill_holes(mask), bool)


def labelled(mask: Mask) -> NDArray[np.int32]:
    """Return the number of the 8-connected part each pixel belongs to, 0 outside the mask."""
    return np.asarray(ndimage.label(mask, _EIGHT)[0], np.int32)  # pyright: ignore[reportIndexIssue]


def nearest_label(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return for every pixel the label of the nearest labelled one."""
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return labels[tuple(np.asarray(nearest))]
