"""Pocket SDXL measured: held-out prompts through the stock diffusers pipeline, read by the detectors."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from pocket.evaluate.cells import Cells, cell_key
from pocket.evaluate.errors import MissingWeightsError
from pocket.evaluate.matching import judge
from pocket.world.captions import Caption, caption
from pocket.world.detect import detect
from pocket.world.scene import generator, sample_scene
from pocket.world.vocabulary import SIZE

FIRST_SEED: Final = 100_000
"""Prompts of 1-2 objects start at this seed of the test split, those of 3-4 objects as far above it again."""
COUNTS: Final[dict[str, tuple[int, ...]]] = {"image": (1, 2), "image_3_4": (3, 4)}


@dataclass(frozen=True)
class Sampling:
    """How every picture is sampled."""

    steps: int = 25
    cfg: float = 4.0


@dataclass(frozen=True)
class Sample:
    """One generated picture and what the detectors said of it."""

    caption: Caption
    image: Image.Image
    answers: dict[str, bool | list[bool]]
    seconds: float


def prompt(part: str, index: int, fits: Callable[[str], bool] = lambda text: True) -> Caption:
    """Return a held-out caption: scenes of the test split in sentence patterns that no model was trained on.

    A text that `fits` refuses is drawn again: what the encoders cut off cannot be obeyed.
    """
    rng = generator("test", FIRST_SEED * (1 + list(COUNTS).index(part)) + index)
    while True:
        scene = sample_scene(rng, counts=COUNTS[part], allow_held_out=True)
        named = caption(rng, scene, "scene", "test")
        if fits(named.text):
            return named


def length_check(folder: Path) -> Callable[[str], bool]:
    """Return a test of whether a text fits the pipeline's text encoders uncut."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    return lambda text: len(tokenizer(text)["input_ids"]) <= tokenizer.model_max_length


def _whole(folder: Path) -> Path:
    if not (folder / "model_index.json").exists():
        raise MissingWeightsError(f"no pocket SDXL in {str(folder)!r}: run `make train-image` or name other --weights")
    return folder


def load(folder: Path) -> Any:
    """Load the stock pipeline from a local folder, in float32, onto a GPU if there is one."""
    import torch
    from diffusers import StableDiffusionXLPipeline
    from transformers.utils import logging

    logging.disable_progress_bar()
    # Without a type, transformers keeps the 16 bits of the files and diffusers widens the rest, and the two do not fit.
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        _whole(folder), local_files_only=True, add_watermarker=False, dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")


def draw(pipeline: Any, text: str, seed: int, sampling: Sampling) -> tuple[Image.Image, float]:
    """Return one picture and the seconds it took."""
    import torch

    started = time.perf_counter()
    image = pipeline(
        text,
        height=SIZE,
        width=SIZE,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.cfg,
        generator=torch.Generator().manual_seed(seed),
    ).images[0]
    return image, time.perf_counter() - started


def measure(
    part: str,
    folder: Path,
    digest: str,
    count: int,
    cells: Cells,
    sampling: Sampling,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Sample]:
    """Generate and judge `count` pictures of one part, those measured before taken from `cells`.

    Args:
        part: `image` or `image_3_4`.
        folder: the pipeline's folder.
        digest: names the weights, so that cells of other weights are not taken for theirs.
        count: number of prompts.
        cells: results so far; pictures lie beside them.
        sampling: steps and guidance.
        progress: told after each picture how many are done.
    """
    fits, pipeline = length_check(_whole(folder)), None
    samples: list[Sample] = []
    for index in range(count):
        named = prompt(part, index, fits)
        key = cell_key(part, index, named.text, digest, asdict(sampling))
        path = cells.path.parent / "pictures" / f"{key}.png"
        kept = cells.get(key)
        if kept is None or not path.exists():
            pipeline = pipeline or load(folder)
            image, seconds = draw(pipeline, named.text, index, sampling)
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, format="PNG")
            kept = {"seconds": seconds}
            cells.put(key, kept)
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        # Read anew each time: the detectors are cheap, and a cell must not outlive a change of theirs.
        samples.append(Sample(named, image, judge(named, detect(np.asarray(image))), float(kept["seconds"])))
        progress(index + 1, count)
    return samples


def lines(sample: Sample) -> list[tuple[str, bool | None]]:
    """Return what the sheet says of a sample: each asked attribute and whether it came true."""
    shown: list[tuple[str, bool | None]] = []
    for key, right in sample.answers.items():
        several = right if isinstance(right, list) else [right]
        if several:
            shown.append((f"{key} {sum(several)}/{len(several)}" if isinstance(right, list) else key, all(several)))
    return shown
