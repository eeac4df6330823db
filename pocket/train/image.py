"""Train the pocket SDXL on top of a trained VAE: `python -m pocket.train.image --vae DIR --out DIR`.

Two stages, each resumable: `text` teaches both text encoders what the words mean (see pocket.train.text), `unet` trains
the denoiser on cached latents. The finished pipeline is saved as a normal diffusers folder, OUT/sdxl. With `--init DIR`
a saved pipeline is trained further from its weights alone: on another machine, or for longer.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from pocket.image import models
from pocket.image.data import SHARD, Captioner, shard
from pocket.image.export import save_pipeline
from pocket.image.tokenizer import build as build_tokenizer
from pocket.train.loop import Average, Budget, Run
from pocket.train.muon import optimisers
from pocket.train.text import Encoded, Lesson, Painter, encode
from pocket.world.scene import Scene

DROP_ALL = 0.10
"""Share of examples trained without any condition (zeros): the unconditional branch of classifier-free guidance."""
DROP_POOLED = 0.30
"""Share trained with a zero pooled vector, or regional prompts could never win against the global one."""
LATE = 0.6
"""Exponent that bends the uniform draw of noise levels towards the noisy end, where outlines are decided."""
SHARD_EVERY = 700
"""Steps after which another shard of scenes joins the pool, up to `SHARDS`."""
SHARDS = 10
SMOKE_SCENES = 200

Encoders = tuple[CLIPTextModel, CLIPTextModelWithProjection]


class Parts(NamedTuple):
    """The modules of one pipeline."""

    tokenizer: CLIPTokenizer
    encoders: Encoders
    vae: AutoencoderKL
    unet: UNet2DConditionModel


def train_text(args: argparse.Namespace, captioner: Captioner, encoders: Encoders) -> bool:
    """Run or resume the first stage; return whether it is complete."""
    one, two = encoders
    painter = Painter()
    lesson = Lesson(captioner, pool=500 if args.smoke else 30000)
    embeddings = [p for e in encoders for n, p in e.named_parameters() if "embedding" in n]
    run = Run(
        name="text",
        folder=args.out,
        modules={"one": one, "two": two, "painter": painter},
        optimisers=optimisers(
            [one, two, painter], rate=2e-3, matrix_rate=1e-2, keep_out=[*embeddings, painter.queries]
        ),
        budget=Budget(steps=args.text_steps, learning_rate=2e-3, warmup=50),
        average=Average([p for e in encoders for p in e.parameters()], 0.99),
    )
    run.resume()

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        ids, chosen = lesson.batch(step, 16 if args.smoke else 96)
        return lesson.loss(painter, encode(one, two, ids), chosen)

    run.train(loss_of, stop_after_seconds=args.stop_after)
    done = run.step >= args.text_steps
    if done:
        run.average.swap()
    return done


class Pool:
    """The growing pool of scenes with their latents."""

    def __init__(self, vae: AutoencoderKL, folder: Path, size: int) -> None:
        self.vae, self.folder, self.size = vae, folder, size
        self.scenes: list[Scene] = []
        self.values = torch.empty(0)

    def grow(self, shards: int) -> None:
        """Make sure that at least `shards` shards are loaded."""
        while len(self.scenes) < shards * self.size:
            scenes, values = shard(self.vae, self.folder, len(self.scenes) // self.size, self.size)
            self.scenes += scenes
            self.values = torch.cat([self.values, values.float()])


def condition(encoded: Encoded, rng: np.random.Generator) -> Encoded:
    """Zero all of the condition, or its pooled part, in random examples."""
    n = len(encoded.rows)
    keep_all = torch.from_numpy(rng.random(n) >= DROP_ALL).float()
    keep_pooled = keep_all * torch.from_numpy(rng.random(n) >= DROP_POOLED).float()
    return Encoded(encoded.rows * keep_all[:, None, None], encoded.pooled * keep_pooled[:, None])


def train_unet(args: argparse.Namespace, parts: Parts) -> None:
    """Run or resume the second stage, saving the pipeline at every checkpoint; encoders and VAE stay as they are."""
    tokenizer, (one, two), vae, unet = parts
    for frozen in (one, two, vae):
        frozen.requires_grad_(False).eval()
    captioner = Captioner(tokenizer)
    ends = [unet.conv_in.weight, unet.conv_out.weight]
    run = Run(
        name="unet",
        folder=args.out,
        modules={"unet": unet},
        optimisers=optimisers([unet], rate=1e-3, matrix_rate=1e-2, keep_out=ends),
        budget=Budget(steps=args.steps, learning_rate=args.rate, warmup=100, checkpoint_seconds=400),
        average=Average(unet.parameters(), 0.999),
    )
    run.resume()
    pool = Pool(vae, args.vae or args.out, SMOKE_SCENES if args.smoke else SHARD)
    noise_schedule: Any = models.scheduler()
    time_ids = torch.tensor([models.TIME_IDS], dtype=torch.float32).repeat(args.batch, 1)

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        pool.grow(min(SHARDS, 2 + step // SHARD_EVERY))
        rng = np.random.default_rng([33, step])
        chosen = rng.integers(0, len(pool.scenes), args.batch)
        texts = [captioner.draw(rng, pool.scenes[i]).text for i in chosen]
        with torch.no_grad():
            encoded = condition(encode(one, two, captioner.ids(texts)), rng)
        clean = pool.values[torch.from_numpy(chosen)]
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
        # Stratified: every batch covers all noise levels, which calms the loss.
        level = (np.arange(args.batch) + rng.random(args.batch)) / args.batch
        times = torch.from_numpy((level**LATE * 1000).astype(np.int64))
        guess: Any = unet(
            noise_schedule.add_noise(clean, noise, times),
            times,
            encoder_hidden_states=encoded.rows,
            added_cond_kwargs={"text_embeds": encoded.pooled, "time_ids": time_ids},
        )
        loss = (guess.sample - noise_schedule.get_velocity(clean, noise, times)).square().mean()
        return loss, {"pool": float(len(pool.scenes))}

    def export() -> None:
        run.average.swap()
        save_pipeline(args.out / "sdxl", vae=vae, unet=unet, encoders=(one, two), tokenizer=tokenizer)
        run.average.swap()

    run.train(loss_of, stop_after_seconds=args.stop_after, at_checkpoint=export)
    export()


def from_pipeline(folder: Path) -> Parts:
    """Load every module of a saved pipeline in float32."""
    wide = {"torch_dtype": torch.float32}
    return Parts(
        CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        (
            CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
            CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2", dtype=torch.float32),
        ),
        AutoencoderKL.from_pretrained(folder / "vae", **wide),
        UNet2DConditionModel.from_pretrained(folder / "unet", **wide),
    )


def from_scratch(args: argparse.Namespace) -> Parts | None:
    """Make the modules over a trained VAE and run the first stage; None if that was ended before its last step."""
    if not (args.out / "tokenizer" / "vocab.json").exists():
        build_tokenizer(args.out / "tokenizer", captions=500 if args.smoke else 20000)
    tokenizer = CLIPTokenizer.from_pretrained(args.out / "tokenizer")
    encoders = models.text_encoders(tokenizer)
    if not train_text(args, Captioner(tokenizer), encoders):
        return None
    vae = AutoencoderKL.from_pretrained(args.vae / "vae", torch_dtype=torch.float32)
    return Parts(tokenizer, encoders, vae, models.unet())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--vae", type=Path, help="folder that holds a finished vae/; everything else from scratch")
    start.add_argument("--init", type=Path, help="a saved pipeline whose denoiser is trained further")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text-steps", type=int, default=700)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument(
        "--rate", type=float, default=1e-3, help="highest learning rate of AdamW; Muon's is ten times it"
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stop-after", type=float, default=float("inf"), help="seconds; the next call resumes")
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.text_steps, args.steps, args.batch = 5, 5, 8
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    args.out.mkdir(parents=True, exist_ok=True)
    parts = from_pipeline(args.init) if args.init else from_scratch(args)
    if parts is None:
        return
    train_unet(args, parts)


if __name__ == "__main__":
    main()
