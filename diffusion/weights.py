"""Find, check and name the weights of a model folder before anything heavy is loaded from it."""

import hashlib
import json
from pathlib import Path

from diffusion.errors import ModelError, WeightsError

MODELS = ("unet", "vae", "text_encoder", "text_encoder_2")
FILES = ("scheduler/scheduler_config.json",)
TOKENIZERS = ("tokenizer", "tokenizer_2")
HELP = "give the path of a local folder in diffusers' format (model_index.json, unet/, vae/, text_encoder/, ...)"


def check(folder: Path) -> str | None:
    """Return the variant ("fp16" or None) to load from `folder`.

    Raises:
        WeightsError: something the pipeline needs is not there.
        ModelError: it holds another kind of model.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise WeightsError(f"no image model at {str(folder)!r}: {HELP}")
    try:
        kind = json.loads(index.read_text(encoding="utf-8")).get("_class_name", "")
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise WeightsError(f"{index} is not readable ({error}); fetch the model again") from error
    if not str(kind).startswith("StableDiffusionXL"):
        raise ModelError(f"{index} names a {kind or 'nameless model'}; only SDXL can be guided")
    variants = {_variant(folder / name) for name in MODELS}
    for name in FILES:
        if not (folder / name).is_file():
            raise WeightsError(f"{folder / name} is missing; fetch the model again")
    for name in TOKENIZERS:
        if not any((folder / name / f).is_file() for f in ("tokenizer.json", "vocab.json")):
            raise WeightsError(f"{folder / name} holds no tokenizer; fetch the model again")
    return "fp16" if "fp16" in variants else None


def _variant(part: Path) -> str | None:
    """Return the variant of one component, checking that all its shards are there; None is the plain one."""
    if not (part / "config.json").is_file():
        raise WeightsError(f"{part / 'config.json'} is missing; fetch the model again")
    for variant, mark in ((None, ""), ("fp16", ".fp16")):
        if any(
            f for f in part.glob(f"*{mark}.safetensors") if mark or (".fp16" not in f.name and "-of-" not in f.name)
        ):
            return variant
        for index in part.glob(f"*.safetensors.index{mark}.json"):
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            missing = sorted(s for s in shards if not (part / s).is_file())
            if missing:
                raise WeightsError(f"{part} lacks {', '.join(missing)}; fetch the model again")
            return variant
    raise WeightsError(f"{part} holds no .safetensors weights; fetch the model again")


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every safetensors file under `folder` by its path in it; reads all of them."""
    found: dict[str, str] = {}
    for file in sorted(folder.rglob("*.safetensors")):
        with file.open("rb") as stream:
            found[file.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
