"""What can go wrong between a conversation and a vision-language model, sorted by who must act.

VlmError
+-- WeightsError           a person: the model folder is missing or incomplete
+-- ServerError            a person: the model server cannot be reached or refuses
+-- ImageInputError        the caller: an image block does not hold a usable picture
+-- ContextOverflowError   the caller: the messages do not fit the model's context
+-- MalformedOutputError   the model: its reply cannot be used; one repair turn is worth trying
+-- StoppedError           nobody: the person pressed Stop
"""

import threading
from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

SHOWN = 600
"""Characters of a bad reply that are shown again: enough to see what was meant, even if it ran on to the limit."""


class VlmError(Exception):
    """The base of every error this package raises on purpose."""


class WeightsError(VlmError):
    """A model folder is missing, incomplete or of a kind this package cannot run."""


class ServerError(VlmError):
    """The OpenAI-compatible server cannot be reached, refuses the key, or failed."""


class ImageInputError(VlmError):
    """An image block of a message cannot be turned into a picture."""


class ContextOverflowError(VlmError):
    """The rendered messages leave no room for a reply."""

    def __init__(self, message: str, tokens: int | None = None, limit: int | None = None) -> None:
        super().__init__(message)
        self.tokens = tokens
        """What the messages take, where it is known: a server may not say."""
        self.limit = limit
        """What the model reads at most, its reply included."""


class MalformedOutputError(VlmError):
    """The model's reply is cut off, not JSON where JSON was due, or against its schema."""

    def __init__(self, reason: str, raw: str) -> None:
        super().__init__(f"{reason}; the reply was {raw[:SHOWN]!r}")
        self.reason = reason
        self.raw = raw

    def repaired(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """Return `messages` followed by the bad reply and a request to correct it: one repair turn."""
        return [
            *messages,
            AIMessage(self.raw[:SHOWN]),
            HumanMessage(f"That reply cannot be used: {self.reason}. Reply again, corrected and complete."),
        ]


class StoppedError(VlmError):
    """The stop event was set while the model was at work."""


def raise_if_set(*stops: threading.Event | None) -> None:
    """Raise StoppedError once one of `stops` is set."""
    if any(stop is not None and stop.is_set() for stop in stops):
        raise StoppedError("stopped while the model was at work")
