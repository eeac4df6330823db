"""Puts a trained pocket SDXL in its place: the pipeline folder, its card and its training log.

`python -m pocket.image.card --vae DIR --run DIR --out pocket/weights/sdxl [--report docs/results/pocket.json]`
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Final

import torch

TEXT: Final = """\
---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---

# Pocket SDXL

A `StableDiffusionXLPipeline` of {millions:.2f} million parameters that knows one thing: the pocket world of this
repository (`python -m pocket.world --sheet FILE`), at 128 x 128 pixels. Trained from nothing on scenes and their
captions; it is of no use for other pictures.

| | |
| --- | --- |
| VAE | f=8, 12 latent channels; {vae_steps} steps of 48 crops or 12 pictures |
| text encoders | two, 128 wide, 48 positions; {text_steps} steps of 96 captions, then frozen |
| denoiser | (48, 96, 128) channels, cross-attention at 16x16, 8x8 and 4x4; {steps} steps of 64 pictures |
| sampling | v-prediction, zero terminal SNR, DDIM with trailing steps |
| time | {minutes:.0f} minutes on one or two cores of an AMD EPYC, shared with other work |
| stored | float16; the configurations name float32, so that the plain stock call loads it for a CPU |

`train_log.json` holds the curves, `docs/log.md` what was tried. sha256 of the weights:

{digests}

## Measured

Held-out prompts through the stock pipeline; `python -m pocket.evaluate` repeats it.

{table}
"""


def table(report: dict[str, Any]) -> str:
    """Return the image keys of a `pocket.evaluate` report as a Markdown table."""
    parts = [p for p in ("vae", "image", "image_3_4") if p in report]
    lines = ["| | " + " | ".join(parts) + " |", "| --- |" + " --- |" * len(parts)]
    for key in ("recall", "colour", "shape", "place", "atmosphere", "style", "theme", "elements"):
        cells = [f"{report[p][key]:.3f}" if key in report[p] else "" for p in parts]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Copy and describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, required=True, help="folder of the VAE's run")
    parser.add_argument("--run", type=Path, required=True, help="folder of the pipeline's run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, default=Path("docs/results/pocket.json"))
    args = parser.parse_args()
    shutil.copytree(args.run / "sdxl", args.out, dirs_exist_ok=True)
    log: dict[str, Any] = {}
    for folder, stage in ((args.vae, "vae"), (args.run, "text"), (args.run, "unet")):
        kept: dict[str, Any] = torch.load(folder / f"{stage}.ckpt", weights_only=True)
        log[stage] = {"steps": kept["step"], "seconds": round(kept["seconds"]), "history": kept["history"]}
    (args.out / "train_log.json").write_text(json.dumps(log) + "\n", encoding="utf-8")
    weights = sorted(args.out.rglob("*.safetensors"))
    report = json.loads(args.report.read_text(encoding="utf-8")) if args.report.exists() else {}
    text = TEXT.format(
        millions=sum(w.stat().st_size for w in weights) / 2e6,
        vae_steps=log["vae"]["steps"],
        text_steps=log["text"]["steps"],
        steps=log["unet"]["steps"],
        minutes=sum(stage["seconds"] for stage in log.values()) / 60,
        digests="\n".join(
            f"- `{w.relative_to(args.out)}` `{hashlib.sha256(w.read_bytes()).hexdigest()}`" for w in weights
        ),
        table=table(report),
    )
    (args.out / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
