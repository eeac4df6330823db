"""Train the pocket SDXL on top of a trained VAE: `python -m pocket.train.image --vae DIR --out DIR`.

Two stages, each resumable: `text` teaches both text encoders what the words mean (see pocket.train.text), `unet` trains
the denoiser on cached latents. The finished pipeline is saved as a normal diffusers folder, OUT/sdxl.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizer

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
SHARD_EVERY = 700
"""Steps after which another shard of scenes joins the pool."""


def train_text(
    folder: Path, captioner: Captioner, encoders: tuple[Any, Any], *, steps: int, stop_after: float, small: bool
) -> bool:
    """Run or resume the first stage; return whether it is complete."""
    one, two = encoders
    painter = Painter()
    lesson = Lesson(captioner, pool=500 if small else 30000)
    embeddings = [
        e.text_model.embeddings.token_embedding.weight
        if hasattr(e, "text_model")
        else e.embeddings.token_embedding.weight
        for e in encoders
    ]
    positions = [p for e in encoders for n, p in e.named_parameters() if "position_embedding" in n]
    run = Run(
        name="text",
        folder=folder,
        modules={"one": one, "two": two, "painter": painter},
        optimisers=optimisers(
            [one, two, painter], rate=2e-3, matrix_rate=1e-2, keep_out=[*embeddings, *positions, painter.queries]
        ),
        budget=Budget(steps=steps, learning_rate=2e-3, warmup=50),
        average=Average([p for e in encoders for p in e.parameters()], 0.99),
    )
    run.resume()

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        ids, chosen = lesson.batch(step, 16 if small else 96)
        return lesson.loss(painter, encode(one, two, ids), chosen)

    run.train(loss_of, stop_after_seconds=stop_after)
    done = run.step >= steps
    if done:
        run.average.swap()
    return done


class Latents:
    """The growing pool of scenes with their latents."""

    def __init__(self, vae: AutoencoderKL, folder: Path, small: bool) -> None:
        self.vae, self.folder, self.small = vae, folder, small
        self.scenes: list[Scene] = []
        self.values = torch.empty(0)

    def grow(self, shards: int) -> None:
        """Make sure that at least `shards` shards are loaded."""
        while len(self.scenes) < shards * (200 if self.small else SHARD):
            scenes, values = shard(self.vae, self.folder, len(self.scenes) // SHARD, 200 if self.small else SHARD)
            self.scenes += scenes
            self.values = torch.cat([self.values, values.float()])


def condition(encoded: Encoded, rng: np.random.Generator) -> Encoded:
    """Zero all of the condition, or its pooled part, in random examples."""
    n = len(encoded.rows)
    keep_all = torch.from_numpy(rng.random(n) >= DROP_ALL).float()
    keep_pooled = keep_all * torch.from_numpy(rng.random(n) >= DROP_POOLED).float()
    return Encoded(encoded.rows * keep_all[:, None, None], encoded.pooled * keep_pooled[:, None])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, required=True, help="folder that holds the finished vae/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stop-after", type=float, default=float("inf"), help="seconds; the next call resumes")
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.text_steps, args.steps, args.batch = 5, 5, 8
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    if not (args.out / "tokenizer" / "vocab.json").exists():
        build_tokenizer(args.out / "tokenizer", captions=500 if args.smoke else 20000)
    tokenizer = CLIPTokenizer.from_pretrained(args.out / "tokenizer")
    captioner = Captioner(tokenizer)
    encoders = models.text_encoders(tokenizer)
    if not train_text(
        args.out, captioner, encoders, steps=args.text_steps, stop_after=args.stop_after, small=args.smoke
    ):
        return
    vae: AutoencoderKL = AutoencoderKL.from_pretrained(args.vae / "vae", torch_dtype=torch.float32).requires_grad_(
        False
    )
    unet = models.unet()
    one, two = encoders
    one.requires_grad_(False).eval()
    two.requires_grad_(False).eval()
    ends = [unet.conv_in.weight, unet.conv_out.weight]
    run = Run(
        name="unet",
        folder=args.out,
        modules={"unet": unet},
        optimisers=optimisers([unet], rate=1e-3, matrix_rate=1e-2, keep_out=ends),
        budget=Budget(steps=args.steps, learning_rate=1e-3, warmup=100, checkpoint_seconds=400),
        average=Average(unet.parameters(), 0.999),
    )
    run.resume()
    pool = Latents(vae, args.vae, args.smoke)
    noise_schedule: Any = models.scheduler()
    time_ids = torch.tensor([models.TIME_IDS], dtype=torch.float32).repeat(args.batch, 1)

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        pool.grow(2 + step // SHARD_EVERY if step < 8 * SHARD_EVERY else 10)
        rng = np.random.default_rng([33, step])
        chosen = rng.integers(0, len(pool.scenes), args.batch)
        texts = [captioner.draw(rng, pool.scenes[i]).text for i in chosen]
        with torch.no_grad():
            encoded = condition(encode(one, two, captioner.ids(texts)), rng)
        clean = pool.values[torch.from_numpy(chosen)]
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
        # Stratified times: every batch covers all noise levels, which calms the loss.
        times = torch.from_numpy(
            ((np.arange(args.batch) + rng.random(args.batch)) / args.batch * 1000).astype(np.int64)
        )
        noisy = noise_schedule.add_noise(clean, noise, times)
        target = noise_schedule.get_velocity(clean, noise, times)
        guess: Any = unet(
            noisy,
            times,
            encoder_hidden_states=encoded.rows,
            added_cond_kwargs={"text_embeds": encoded.pooled, "time_ids": time_ids},
        )
        loss = (guess.sample - target).square().mean()
        return loss, {"pool": float(len(pool.scenes))}

    def export() -> None:
        run.average.swap()
        save_pipeline(args.out / "sdxl", vae=vae, unet=unet, encoders=encoders, tokenizer=tokenizer)
        run.average.swap()

    run.train(loss_of, stop_after_seconds=args.stop_after, at_checkpoint=export)
    export()


if __name__ == "__main__":
    main()
