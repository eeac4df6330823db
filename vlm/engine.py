"""The model itself: loads a Qwen-VL folder and turns a rendered prompt into tokens, one at a time.

Nothing here keeps state between calls (positions are computed and passed, never left in the model), so several
conversations may decode at once in different threads, and abandoning a stream needs no cleaning up.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xgrammar as xgr
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.cache_utils import DynamicCache

from vlm.boxes import FAMILIES
from vlm.errors import ContextOverflowError, WeightsError, raise_if_set
from vlm.grammar import GrammarBook
from vlm.rendering import Rendered, Renderer

MIN_ROOM = 16
"""Tokens that must be left for a reply before a prompt counts as too long."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How the next token is chosen."""

    max_new_tokens: int
    temperature: float = 0.0
    """0 takes the likeliest token, so that a scripted run repeats itself."""
    top_p: float = 1.0
    """The likeliest tokens that hold this much probability are drawn from; unused when greedy."""
    seed: int = 0
    """Of the draw; unused when greedy."""


class Engine:
    """One loaded model with its renderer and its grammars."""

    def __init__(self, model: Any, renderer: Renderer, context_length: int | None = None) -> None:
        text = model.config.get_text_config()
        self.model = model.eval()
        self.renderer = renderer
        self.family: str = model.config.model_type
        self.name = Path(model.config.name_or_path).name
        self.context_length = min(text.max_position_embeddings, context_length or text.max_position_embeddings)
        declared = model.generation_config.eos_token_id
        ends = declared if isinstance(declared, list) else [declared]
        self.stop_ids = sorted({renderer.end_id, *(end for end in ends if end is not None)})
        self.grammars = GrammarBook(renderer.tokenizer, text.vocab_size, self.stop_ids)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        chat_template: str | None = None,
        context_length: int | None = None,
    ) -> "Engine":
        """Load a folder in the hub's own format; nothing is downloaded.

        Args:
            folder: config, safetensors, tokenizer, image processor and chat template.
            device: "auto" takes the GPU when there is one; else as torch names it.
            dtype: "auto" is bfloat16 on a GPU and float32 on a CPU, whatever the file holds; else torch's name.
            chat_template: Jinja text to use instead of the folder's own.
            context_length: tokens read at most, when fewer than the model could.
        """
        renderer = Renderer.load(folder, chat_template)
        place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        kind = ("float32" if place.type == "cpu" else "bfloat16") if dtype == "auto" else dtype
        return cls(_weights(Path(folder), place, getattr(torch, kind)), renderer, context_length)

    def check(self, prompt: Rendered) -> int:
        """Return the tokens left for a reply; too long a prompt is a typed error."""
        used, limit = len(prompt.input_ids), self.context_length
        if limit - used < MIN_ROOM:
            message = (
                f"the messages take {used!r} tokens; with {MIN_ROOM} for the reply the model reads {limit!r} at most"
            )
            raise ContextOverflowError(message, used, limit)
        return limit - used

    def tokens(
        self,
        prompt: Rendered,
        grammar: xgr.CompiledGrammar,
        decoding: Decoding,
        stops: Sequence[threading.Event] = (),
    ) -> Iterator[int]:
        """Yield the reply token by token.

        The last is one of `stop_ids`, unless `max_new_tokens` or the context is full. Raises StoppedError before the
        next token once one of `stops` is set.
        """
        room = min(self.check(prompt), decoding.max_new_tokens)
        matcher = xgr.GrammarMatcher(grammar)
        mask = xgr.allocate_token_bitmask(1, grammar.tokenizer_info.vocab_size)
        dice = torch.Generator().manual_seed(decoding.seed)
        cache = DynamicCache(config=self.model.config.get_text_config())
        raise_if_set(*stops)
        logits, position = self._read(prompt, cache)
        for _ in range(room):
            matcher.fill_next_token_bitmask(mask)
            xgr.apply_token_bitmask_inplace(logits, mask)
            token = _choose(logits[0], decoding, dice)
            matcher.accept_token(token)
            yield token
            if token in self.stop_ids:
                return
            raise_if_set(*stops)
            logits = self._step(token, position, cache)
            position += 1

    def next_token_logits(self, prompt: Rendered) -> Tensor:
        """Return the raw logits (vocabulary,) of the first token of a reply, in float32 on the CPU."""
        self.check(prompt)
        return self._read(prompt, None)[0][0]

    @torch.inference_mode()
    def _read(self, prompt: Rendered, cache: DynamicCache | None) -> tuple[Tensor, int]:
        """Read the whole prompt; return the next token's logits (1, vocabulary) and its position."""
        device, model = self.model.device, self.model
        ids = torch.tensor([prompt.input_ids], device=device)
        kinds = torch.tensor([prompt.mm_token_type_ids], device=device, dtype=torch.int)
        inputs: dict[str, Any] = {}
        if prompt.pixel_values is None:
            positions, delta = torch.arange(ids.shape[1], device=device).expand(3, 1, -1), 0
        else:
            grid = torch.from_numpy(prompt.image_grid_thw).to(device)
            positions, deltas = model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=grid)
            delta = int(deltas)
            pixels = torch.from_numpy(prompt.pixel_values).to(device, model.dtype)
            inputs = {"pixel_values": pixels, "image_grid_thw": grid}
        out = model(
            input_ids=ids,
            mm_token_type_ids=kinds,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=1,
            **inputs,
        )
        return out.logits[:, -1].float().cpu(), ids.shape[1] + delta

    @torch.inference_mode()
    def _step(self, token: int, position: int, cache: DynamicCache) -> Tensor:
        device = self.model.device
        out = self.model(
            input_ids=torch.tensor([[token]], device=device),
            position_ids=torch.full((3, 1, 1), position, device=device),
            past_key_values=cache,
            use_cache=True,
        )
        return out.logits[:, -1].float().cpu()


def _choose(logits: Tensor, decoding: Decoding, dice: torch.Generator) -> int:
    """Return the likeliest token, or one drawn from the nucleus (Holtzman et al., arXiv 1904.09751)."""
    if decoding.temperature == 0.0:
        return int(logits.argmax())
    shares, tokens = torch.softmax(logits / decoding.temperature, -1).sort(descending=True)
    # The token that crosses the line belongs to the nucleus, so that it is never empty.
    shares[shares.cumsum(-1) - shares >= decoding.top_p] = 0.0
    return int(tokens[torch.multinomial(shares, 1, generator=dice)])


def _weights(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if config.model_type not in FAMILIES:
            raise WeightsError(f"{str(folder)!r} holds a {config.model_type!r} model; known are {sorted(FAMILIES)}")
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"{str(folder)!r} cannot be loaded: {error}. Fetch the missing files again.") from error
    model, report = loaded
    if missing := sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"]):
        raise WeightsError(
            f"{str(folder)!r} lacks {len(missing)} weights, the first is {missing[0]!r}. Fetch them again."
        )
    return model.to(device)
