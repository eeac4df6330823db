"""Train the pocket VAE: `python -m pocket.train.vae --out DIR`.

An `AutoencoderKL` that shrinks by 8 like SDXL's, with 12 latent channels instead of 4: with 4 the textures blur and
hues are lost. Trained on crops around objects (most of a picture is empty paper) and, every fourth step, on whole ones.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from pocket.image.export import fold_statistics
from pocket.image.models import LATENT_CHANNELS
from pocket.pixels import signed
from pocket.train.loop import Average, Budget, Run
from pocket.train.muon import optimisers
from pocket.world.render import render
from pocket.world.scene import generator, sample_scene
from pocket.world.vocabulary import SIZE

CROP = 64
KL_WEIGHT = 3e-3
"""Weight of the mean KL per latent element; keeps the latents near a normal distribution without blur."""
SQUARE_WEIGHT = 4.0
"""Weight of the squared errors of pixels and of their differences. With absolute errors alone the
median of an edge map, zero, is a place to get stuck: after 650 steps the textures had not begun to appear."""


def build() -> AutoencoderKL:
    """Return an untrained pocket VAE (1 M parameters)."""
    options: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (16, 32, 64, 64),
        "layers_per_block": 1,
        "latent_channels": LATENT_CHANNELS,
        "norm_num_groups": 8,
        "sample_size": SIZE,
        "mid_block_add_attention": False,
        "force_upcast": False,
    }
    return AutoencoderKL(**options)


def pictures(seed: int, count: int) -> tuple[Tensor, list[list[tuple[int, int]]]]:
    """Render `count` training scenes: (N, 3, 128, 128) uint8 and the object centres of each."""
    rng = generator("train", seed)
    scenes = [sample_scene(rng, counts=(1, 2, 3, 4), allow_held_out=True) for _ in range(count)]
    pixels = np.stack([render(s) for s in scenes]).transpose(0, 3, 1, 2)
    centres = [[(t.left + t.side // 2, t.top + t.side // 2) for t in s.things] for s in scenes]
    return torch.from_numpy(np.ascontiguousarray(pixels)), centres


def edges(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the horizontal and vertical differences of (N, C, H, W)."""
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished model")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pool", type=int, default=8000, help="rendered pictures to draw crops from")
    parser.add_argument("--smoke", action="store_true", help="20 steps, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.steps, args.pool = 20, 60
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    vae = build()
    ends = [vae.encoder.conv_in.weight, vae.decoder.conv_out.weight]
    run = Run(
        name="vae",
        folder=args.out,
        modules={"vae": vae},
        optimisers=optimisers([vae], rate=2e-3, matrix_rate=1e-2, keep_out=ends),
        budget=Budget(steps=args.steps, learning_rate=2e-3, warmup=100),
        average=Average(vae.parameters(), 0.998),
    )
    run.resume()
    pool, centres = pictures(seed=1, count=args.pool)

    def batch(step: int) -> Tensor:
        rng = np.random.default_rng([7, step])
        if step % 4 == 3:
            return signed(pool[torch.from_numpy(rng.integers(0, len(pool), 12))])
        crops: list[Tensor] = []
        for i in rng.integers(0, len(pool), 48):
            x, y = centres[i][int(rng.integers(len(centres[i])))]
            jitter = rng.integers(-24, 25, 2)
            left, top = (
                int(np.clip(c + j - CROP // 2, 0, SIZE - CROP)) // 8 * 8 for c, j in zip((x, y), jitter, strict=True)
            )
            crops.append(pool[i, :, top : top + CROP, left : left + CROP])
        return signed(torch.stack(crops))

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        clean = batch(step)
        with torch.autocast("cpu", torch.bfloat16):
            posterior: Any = vae.encode(clean).latent_dist  # pyright: ignore[reportAttributeAccessIssue]
            drawn = vae.decode(posterior.sample()).sample.float()  # pyright: ignore[reportAttributeAccessIssue]
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        pixel = (drawn - clean).abs().mean()
        square = (drawn - clean).square().mean()
        edge = torch.stack([(a - b).square().mean() for a, b in zip(edges(drawn), edges(clean), strict=True)]).sum()
        loss = pixel + SQUARE_WEIGHT * (square + edge) + KL_WEIGHT * kl
        return loss, {"l1": pixel.item(), "mse": square.item(), "edge": edge.item(), "kl": kl.item()}

    run.train(loss_of)
    if run.step >= args.steps:
        run.average.swap()
        means, deviations = statistics(vae, signed(pool[:400]))
        fold_statistics(vae, means, deviations)
        vae.register_to_config(scaling_factor=1.0)
        vae.save_pretrained(args.out / "vae")


@torch.no_grad()
def statistics(vae: AutoencoderKL, clean: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of every latent channel, (C,) each."""
    posteriors = [vae.encode(part).latent_dist for part in clean.split(50)]  # pyright: ignore[reportAttributeAccessIssue]
    means = torch.cat([p.mode() for p in posteriors])
    return means.mean(dim=(0, 2, 3)), means.std(dim=(0, 2, 3))


if __name__ == "__main__":
    main()
