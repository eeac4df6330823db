"""The one mapping between 8-bit pictures and the values that the pocket's models take."""

from torch import Tensor


def signed(pixels: Tensor) -> Tensor:
    """Map 8-bit values (any shape, 0 to 255) to float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1
