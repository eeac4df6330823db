"""Everything this project raises on purpose, sorted by who must act.

AttuneError
├── ToolError      the model may try something else; its message is shown to the model
├── InputError     what the person sent cannot be used; its message is shown to the person, nothing is lost
└── ConfigError    a person must fix the installation or a file; ends the run
"""


class AttuneError(Exception):
    """The root: a message fit to be shown."""


class ToolError(AttuneError):
    """A tool could not do what was asked; the model may try otherwise."""


class InputError(AttuneError, ValueError):
    """A message, a picture or a file that a person sent cannot be used."""


class ConfigError(AttuneError):
    """Only a person can fix this: a missing weight file, an unknown profile."""
