"""Analytic detectors: read a picture of the pocket world back, without any learned model.

For evaluation and for labelling training pictures only; the agent never calls them.
"""

from pocket.world.detect.read import detect
from pocket.world.detect.result import NONE, DetectedObject, Detection

__all__ = ["NONE", "DetectedObject", "Detection", "detect"]
