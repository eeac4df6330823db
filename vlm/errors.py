"""What can go wrong between a conversation and a vision-language model, sorted by who must act.

VlmError
+-- WeightsError           a person: the model folder is missing or incomplete
+-- ServerError            a person: the model server cannot be reached or refuses
+-- ImageInputError        the caller: an image block does not hold a usable picture
+-- ContextOverflowError   the caller: the messages do not fit the model's context
+-- MalformedOutputError   the model: its reply cannot be used; one repair turn is worth trying
+-- StoppedError           nobody: the person pressed Stop
"""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage


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

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"the messages take {tokens!r} tokens, and the model reads at most {limit!r} with its reply")
        self.tokens = tokens
        self.limit = limit


class MalformedOutputError(VlmError):
    """The model's reply is cut off, not JSON where JSON was due, or against its schema."""

    def __init__(self, reason: str, raw: str) -> None:
        super().__init__(f"{reason}; the reply was {raw[:400]!r}")
        self.reason = reason
        self.raw = raw

    def repaired(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """Return `messages` followed by the bad reply and a request to correct it: one repair turn."""
        return [
            *messages,
            AIMessage(self.raw),
            HumanMessage(f"That reply cannot be used: {self.reason}. Reply again, corrected and complete."),
        ]


class StoppedError(VlmError):
    """The stop event was set while the model was at work."""
