"""`extract_preferences`: read the taste of one picture as keywords."""

import threading

from prompts import Pack
from tools.arguments import TasteRead
from tools.asks import ImageBlock, taste_messages
from tools.reasoner import Reasoner
from tools.taste import Keyword
from tools.types import CATEGORIES


async def extract_preferences(
    reasoner: Reasoner, image: ImageBlock, source: str, pack: Pack, stop: threading.Event
) -> list[Keyword]:
    """Return the keywords of a picture, by category, strongest first.

    Raises:
        ToolError: the model's output could not be read.
    """
    seen = await reasoner.structured(taste_messages(image, pack), TasteRead, stop)
    return keywords_of(seen, source)


def keywords_of(seen: TasteRead, source: str) -> list[Keyword]:
    """Turn what was read into keywords, each once."""
    found: dict[str, Keyword] = {}
    for category in CATEGORIES:
        for text in getattr(seen, category):
            if text.strip():
                keyword = Keyword(text=text.strip(), category=category, source=source)
                found.setdefault(keyword.key, keyword)
    return list(found.values())
