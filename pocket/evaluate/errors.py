"""What a measurement raises on purpose.

RuntimeError
└── MissingWeightsError      a model folder is missing or broken; a person must fix it
"""


class MissingWeightsError(RuntimeError):
    """A model to be measured is not there; the message says which folder and what makes it."""
