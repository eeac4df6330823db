"""Everything this package raises on purpose.

ValueError
└── GuidanceError        a request that cannot be rendered as it stands; ask for something else
RuntimeError
├── WeightsError         a model folder or file is missing or broken; a person must fix it
└── ModelError           the model is whole but is not what this package can guide
Exception
└── Stopped              somebody asked the rendering to stop, and it did
"""


class GuidanceError(ValueError):
    """The request is outside what can be rendered; its message says what was given and what is allowed."""


class WeightsError(RuntimeError):
    """A model folder or one of its files is missing or unreadable; its message says what to do."""


class ModelError(RuntimeError):
    """The model on disk is readable but is not an SDXL this package can guide."""


class Stopped(Exception):  # noqa: N818 (an outcome that was asked for, not an error)
    """The rendering was stopped between two steps; the pipeline is as it was before."""

    def __init__(self, step: int, steps: int) -> None:
        super().__init__(f"stopped after step {step} of {steps}")
        self.step = step
        self.steps = steps
