"""Puts a trained pocket Qwen-VL in its place: the model folder, its card and its training log.

`python -m pocket.vlm.card --run DIR --out pocket/weights/vlm [--measure] [--painter DIR]`
"""

import argparse
import hashlib
import json
import platform
import shutil
from pathlib import Path
from typing import Any, Final

import torch

from pocket.evaluate.report import AT_MOST, GATES
from pocket.vlm.measure import SIZES, measure

TEXT: Final = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---

# Pocket Qwen-VL

A `Qwen3VLForConditionalGeneration` of {millions:.2f} million parameters that knows one thing: the pocket world of this
repository (`python -m pocket.world --sheet FILE`). It reads the taste of a picture, plans layouts, answers yes/no
questions about pictures, and decides what the agent does next. It is of no use on other pictures or other talk.

| | |
| --- | --- |
| text | 192 wide, 6 layers, head_dim 32, vocabulary of {vocabulary} |
| vision | 128 wide, 4 layers, patch 16, merge 2: a picture is 16 tokens |
| pictures | rendered scenes, VAE reconstructions, pictures of a half-trained pocket SDXL labelled by the detectors |
| texts | made by `pocket/vlm` with the agent's own prompts |
| steps | {vision_steps} of 64 pictures for the vision tower, then {steps} for the language model |
| time | {minutes:.0f} minutes on one core of {machine}, shared with other work |
| numbers | bfloat16 autocast; Muon for matrices, AdamW for the rest; stored as bfloat16 |
| sha256 | `{digest}` (model.safetensors) |

The training was not one clean run: `train_log.json` holds its curve, `docs/log.md` what was changed on the way and why.

## Measured through the program's own path

Held-out pictures and wordings that were never trained on; for the critic, pictures that the pocket SDXL painted
and the detectors judged. `python -m pocket.evaluate --only vlm` repeats it.

{table}
"""


def table(counts: dict[str, tuple[int, int]]) -> str:
    """Return the gates as a Markdown table."""
    lines = ["| gate | asked | right | n |", "| --- | --- | --- | --- |"]
    for key, gate in GATES["vlm"].items():
        right, asked = counts.get(key, (0, 0))
        share = f"{right / asked:.3f}" if asked else "not measured"
        sign = "<=" if key in AT_MOST else ">="
        lines.append(f"| {key} | {sign} {gate} | {share} | {asked} |")
    return "\n".join(lines)


def log_of(run: Path) -> dict[str, Any]:
    """Return curve, steps and seconds of both stages from their checkpoints."""
    found: dict[str, Any] = {}
    for stage in ("vision", "language"):
        kept: dict[str, Any] = torch.load(run / f"{stage}.ckpt", weights_only=True)
        found[stage] = {"steps": kept["step"], "seconds": round(kept["seconds"]), "history": kept["history"]}
    return found


def main() -> None:
    """Copy, measure and describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--measure", action="store_true", help="measure the gates (minutes)")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--painter", type=Path, default=Path("pocket/weights/sdxl"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    for file in sorted((args.run / "model").iterdir()):
        shutil.copyfile(file, args.out / file.name)
    log = log_of(args.run)
    if args.measure:
        log["gates"] = measure(args.limit, args.out, args.painter, tuple(SIZES), print)
    (args.out / "train_log.json").write_text(json.dumps(log) + "\n", encoding="utf-8")
    config = json.loads((args.out / "config.json").read_text(encoding="utf-8"))
    weights = (args.out / "model.safetensors").read_bytes()
    text = TEXT.format(
        millions=(len(weights)) / 2e6,
        vocabulary=config["text_config"]["vocab_size"],
        vision_steps=log["vision"]["steps"],
        steps=log["language"]["steps"],
        minutes=(log["vision"]["seconds"] + log["language"]["seconds"]) / 60,
        machine=platform.processor() or platform.machine(),
        digest=hashlib.sha256(weights).hexdigest(),
        table=table(log.get("gates", {})),
    )
    (args.out / "README.md").write_text(text, encoding="utf-8")
    print(table(log.get("gates", {})))  # noqa: T201


if __name__ == "__main__":
    main()
