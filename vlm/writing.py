"""Tokens of one reply -> the chunks of its message, the last of which says how it ended and what it took."""

from collections.abc import Iterable, Iterator

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from tokenizers.decoders import DecodeStream

from vlm.engine import Engine
from vlm.replies import ReplyReader


def written(
    engine: Engine, tokens: Iterable[int], reader: ReplyReader | None, prompt_tokens: int
) -> Iterator[AIMessageChunk]:
    """Yield the reply as it is written.

    Args:
        engine: whose tokens they are.
        tokens: of the reply, ending in a stop token unless it was cut off.
        reader: tells thought, answer and calls apart; None passes the text on as it is.
        prompt_tokens: for the usage record.
    """
    core = engine.renderer.tokenizer.backend_tokenizer
    # Holds bytes back until they are whole characters.
    letters = DecodeStream(skip_special_tokens=False)
    count, reason = 0, "length"
    for token in tokens:
        count += 1
        if token in engine.stop_ids:
            reason = "stop"
            break
        text = letters.step(core, token)
        if text:
            yield from reader.feed(text) if reader else [AIMessageChunk(content=text)]
    if reader:
        yield from reader.finish()
    yield AIMessageChunk(
        content="",
        response_metadata={"finish_reason": reason, "model_name": engine.name},
        usage_metadata=UsageMetadata(
            input_tokens=prompt_tokens, output_tokens=count, total_tokens=prompt_tokens + count
        ),
        chunk_position="last",
    )
