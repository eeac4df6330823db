"""Pictures that are not clean renders, for the eyes of the critic.

`python -m pocket.vlm.albums vae --model DIR --out FILE.npz` sends rendered scenes through the VAE, some with disturbed
latents; they are labelled by their scenes. `sdxl` instead of `vae` paints captions with the image model as it stands;
what came of it is labelled by the detectors.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocket.pixels import signed
from pocket.vlm.pool import draw_pool, write_album
from pocket.vlm.sights import Seen, Truth, truth_of
from pocket.world.captions import caption
from pocket.world.detect import NONE, detect
from pocket.world.scene import Split, generator, sample_scene


@torch.no_grad()
def reconstructed(vae: Any, pixels: Tensor, generator_: torch.Generator) -> Tensor:
    """Return (N, 3, S, S) uint8 pictures after the VAE, with up to a fifth of noise on their latents."""
    parts: list[Tensor] = []
    deviation = torch.tensor(getattr(vae.config, "latents_std", None) or [1.0]).view(1, -1, 1, 1)
    for part in pixels.split(20):
        latents = vae.encode(signed(part)).latent_dist.mode()
        amount = torch.rand(len(part), 1, 1, 1, generator=generator_) * 0.2
        latents = latents + torch.randn(latents.shape, generator=generator_) * deviation * amount
        drawn = vae.decode(latents).sample
        parts.append(((drawn.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
    return torch.cat(parts)


def read_truth(pixels: NDArray[np.uint8]) -> Truth:
    """Return what the detectors find in a (S, S, 3) picture; where they are in doubt, nobody can tell."""
    seen = detect(pixels)

    def sure(value: str) -> str | None:
        return None if value == NONE else value

    # A thing whose shape is in doubt stays without a name, so that no question about it is trained on.
    things = tuple(Seen(o.shape, o.colour, o.box) for o in seen.objects)
    return Truth(things, sure(seen.style), sure(seen.atmosphere), sure(seen.theme), seen.elements)


@torch.no_grad()
def painted(folder: Path, count: int, *, split: Split, seed: int, steps: int, threads: int) -> list[NDArray[np.uint8]]:
    """Paint `count` pictures of scenes of one to three subjects with the stock pipeline; 0 threads: as many as now."""
    from diffusers import StableDiffusionXLPipeline

    if threads:
        torch.set_num_threads(threads)
    pipe: Any = StableDiffusionXLPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    rng = generator(split, seed)
    pictures: list[NDArray[np.uint8]] = []
    while len(pictures) < count:
        scenes = [sample_scene(rng, counts=(1, 1, 2, 2, 3), allow_held_out=split == "test") for _ in range(16)]
        texts = [caption(rng, s).text for s in scenes]
        dice = torch.Generator().manual_seed(int(rng.integers(2**31)))
        out = pipe(
            texts,
            num_inference_steps=steps,
            guidance_scale=4.0,
            generator=dice,
            height=128,
            width=128,
            output_type="np",
        )
        pictures += [np.rint(image * 255).astype(np.uint8) for image in out.images]
        print(f"{len(pictures)}/{count}", flush=True)  # noqa: T201
    return pictures[:count]


def main() -> None:
    """Make one album."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("vae", "sdxl"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.kind == "vae":
        from diffusers import AutoencoderKL

        pool = draw_pool(args.split, args.seed, args.count, allow_held_out=args.split == "test")
        vae: Any = AutoencoderKL.from_pretrained(args.model).eval()
        pixels = reconstructed(vae, pool.pixels, torch.Generator().manual_seed(args.seed))
        write_album(args.out, pixels, [truth_of(s) for s in pool.scenes])
        return
    pictures = painted(args.model, args.count, split=args.split, seed=args.seed, steps=args.steps, threads=args.threads)
    pixels = torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())
    write_album(args.out, pixels, [read_truth(p) for p in pictures])


if __name__ == "__main__":
    main()
