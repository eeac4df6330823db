"""Train the pocket Qwen-VL (`python -m pocket.train.vlm --out DIR`): its eyes by direct labels, then all its tasks."""

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from pocket.train.loop import Average, Budget, Run
from pocket.train.muon import Muon, optimisers
from pocket.vlm.batch import TASKS, Batch, Coder
from pocket.vlm.build import SPECIAL, build
from pocket.vlm.fast import predict, see
from pocket.vlm.pool import Pool, draw_pool, read_album
from pocket.vlm.sights import truth_of
from pocket.vlm.stream import Album, Stream, corpus
from pocket.vlm.text import save_processor, special_ids, train_tokenizer, vocabulary_texts
from pocket.vlm.vision import Head, Roughen, cell_labels, look_labels, loss_of
from pocket.world.scene import generator, sample_scene

VISION_FILE = "vision.safetensors"
TOKEN_SHRINK = 15.0
"""Pre-training leaves image tokens thirty times as long as the embeddings of words; this brings them near."""


class HalfMuon(Muon):
    """Muon whose orthogonalisation runs in bfloat16, as its author's does: three times faster on a CPU that has it."""

    def step(self, closure: object = None) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            super().step(closure)


def half_optimisers(
    modules: list[nn.Module], rate: float, matrix_rate: float, keep_out: list[Tensor]
) -> list[torch.optim.Optimizer]:
    """Return `optimisers` with the faster Muon."""
    muon, adam = optimisers(modules, rate=rate, matrix_rate=matrix_rate, keep_out=keep_out)
    faster = HalfMuon(muon.param_groups[0]["params"], matrix_rate)
    faster.param_groups[0]["scale"] = matrix_rate / rate
    return [faster, adam]


def labels(pool: Pool) -> tuple[Tensor, Tensor]:
    """Return the looks (N, 8) and cells (N, 16, 7) of a pool."""
    looks = torch.tensor([look_labels(s) for s in pool.scenes])
    return looks, torch.from_numpy(np.stack([cell_labels(s) for s in pool.scenes]))


def train_vision(args: argparse.Namespace) -> None:
    """Pre-train the vision tower by a direct head; the head is thrown away."""
    tower_of = build(len(SPECIAL), {name: i for i, name in enumerate(SPECIAL)})
    tower, head = tower_of.model.visual, Head()
    edges = [tower.patch_embed.proj.weight, tower.pos_embed.weight, head.look.weight, head.cell.weight]
    run = Run(
        name="vision",
        folder=args.out,
        modules={"tower": tower, "head": head},
        optimisers=half_optimisers([tower, head], 1e-3, 1e-2, edges),
        budget=Budget(steps=args.vision_steps, learning_rate=1e-3, warmup=100, report_every=100),
        average=Average([*tower.parameters(), *head.parameters()], 0.998),
    )
    run.resume()
    pool = draw_pool("train", 11, args.pool, allow_held_out=False, cache=args.out / f"pool{args.pool}.npy")
    looks, cells = labels(pool)
    test = draw_pool("test", 11, 60 if args.smoke else 400, allow_held_out=True)
    test_looks, test_cells = labels(test)
    rough = Roughen(run.step)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        chosen = torch.from_numpy(np.random.default_rng([3, step]).integers(0, len(pool.scenes), args.pictures))
        with torch.autocast("cpu", torch.bfloat16):
            tokens = see(tower_of, rough(pool.take(chosen)))
        return loss_of(head, tokens, looks[chosen], cells[chosen])

    @torch.no_grad()
    def look() -> None:
        run.average.swap()
        with torch.autocast("cpu", torch.bfloat16):
            tokens = torch.cat([see(tower_of, test.take(i)) for i in torch.arange(len(test.scenes)).split(50)])
        value, right = loss_of(head, tokens, test_looks, test_cells)
        run.average.swap()
        report = {"step": run.step, "held_out_loss": value.item(), **{k: round(v, 4) for k, v in right.items()}}
        print("vision held out", json.dumps(report), flush=True)

    run.train(loss, at_checkpoint=look)
    look()
    run.average.swap()
    save_file({k: v.detach().contiguous() for k, v in tower.state_dict().items()}, args.out / VISION_FILE)
    run.average.swap()


TOKENS = 1536
"""Entries of the vocabulary, the marks included."""


def tokenizer_for(folder: Path, *, small: bool) -> Any:
    """Return the run's tokenizer, learnt once from the mixture's own texts."""
    kept = folder / "processor"
    if not (kept / "tokenizer.json").exists():
        rng = generator("train", 5)
        truths = [truth_of(sample_scene(rng, allow_held_out=False)) for _ in range(200)]
        texts = [*corpus(1, 60 if small else 4000, truths), *vocabulary_texts() * 600]
        save_processor(train_tokenizer(texts, TOKENS), kept)
    return PreTrainedTokenizerFast.from_pretrained(kept)


def albums_of(args: argparse.Namespace) -> list[Album]:
    """Return the rendered pictures, and those that a VAE or a painting model gave, where the run's folder has them."""
    pool = draw_pool("train", 11, args.pool, allow_held_out=False, cache=args.out / f"pool{args.pool}.npy")
    albums = [Album(pool.pixels, [truth_of(s) for s in pool.scenes], 1.0)]
    for file in sorted(args.out.glob("album-*.npz")):
        albums.append(read_album(file, share=0.5))
    return albums


def weighted(logits: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """Return the weighted loss and the mean loss of each task."""
    each = F.cross_entropy(logits.float(), batch.labels, reduction="none")
    loss = (each * batch.weights).sum() / batch.weights.sum()
    found: dict[str, float] = {}
    for i, task in enumerate(TASKS):
        here = batch.tasks == i
        if task in ("region", "taste", "layout", "edit", "decision", "card", "words", "list", "look_at"):
            found[task] = each[here].mean().item() if here.any() else 0.0
    return loss, found


@torch.no_grad()
def held_out(model: Any, stream: Stream, batches: int) -> dict[str, float]:
    """Return for each task the share of replies that greedy decoding gets exactly right, by teacher forcing."""
    right: dict[str, list[float]] = {task: [] for task in TASKS}
    for step in range(batches):
        batch = stream.batch(step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = predict(model, batch)
        good = (logits.argmax(-1) == batch.labels).numpy()
        begin = 0
        for i in range(len(good)):
            if batch.labels[i] == stream.coder.end:
                right[TASKS[int(batch.tasks[i])]].append(float(good[begin : i + 1].all()))
                begin = i + 1
    return {f"{task} ({len(v)})": round(float(np.mean(v)), 3) for task, v in right.items() if v}


def train_language(args: argparse.Namespace) -> None:
    """Train the whole model on the mixture, from the pre-trained eyes."""
    tokenizer = tokenizer_for(args.out, small=args.smoke)
    coder = Coder(tokenizer)
    model = build(len(tokenizer), special_ids(tokenizer))
    if (args.out / VISION_FILE).exists():
        model.model.visual.load_state_dict(load_file(args.out / VISION_FILE))
    tower = model.model.visual
    with torch.no_grad():
        for p in tower.merger.linear_fc2.parameters():
            p.div_(TOKEN_SHRINK)
    edges = [model.model.language_model.embed_tokens.weight, tower.patch_embed.proj.weight, tower.pos_embed.weight]
    run = Run(
        name="language",
        folder=args.out,
        modules={"model": model},
        optimisers=half_optimisers([model], 2e-3, 1e-2, edges),
        budget=Budget(
            steps=args.steps,
            learning_rate=2e-3 * args.rate,
            final_rate=0.02 / args.rate,
            warmup=100,
            report_every=25,
            checkpoint_seconds=args.look_seconds,
        ),
        average=Average(model.parameters(), 0.995),
    )
    run.resume()
    stream = Stream(coder, albums_of(args), roughen=Roughen(run.step), rows=args.rows, reading_until=args.reading_until)
    test = draw_pool("test", 13, 60 if args.smoke else 600, allow_held_out=True)
    other = Stream(
        coder, [Album(test.pixels, [truth_of(s) for s in test.scenes], 1.0)], phrasing="test", rows=8, key=77
    )

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        batch = stream.batch(step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = predict(model, batch)
        return weighted(logits, batch)

    def look() -> None:
        run.average.swap()
        report = held_out(model, other, 2 if args.smoke else 6)
        print("language held out", run.step, json.dumps(report), flush=True)
        export(model, tokenizer, args.out / "model")
        run.average.swap()

    run.train(loss, at_checkpoint=look)
    look()


def export(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a hub-format folder in bfloat16; `model` itself stays as it is."""
    half = copy.deepcopy(model).to(torch.bfloat16)
    half.generation_config.eos_token_id = int(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    half.generation_config.pad_token_id = int(tokenizer.convert_tokens_to_ids("<|endoftext|>"))
    half.save_pretrained(folder)
    save_processor(tokenizer, folder)


def main() -> None:
    """Train what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stage", choices=("vision", "language", "all"), default="all")
    parser.add_argument("--vision-steps", type=int, default=5000)
    parser.add_argument("--pictures", type=int, default=64, help="pictures a step of the vision stage")
    parser.add_argument("--pool", type=int, default=32000, help="rendered pictures to draw from")
    parser.add_argument("--steps", type=int, default=3600, help="steps of the language stage")
    parser.add_argument("--rows", type=int, default=24, help="rows of 304 tokens a step of the language stage")
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates of the language stage")
    parser.add_argument("--reading-until", type=int, default=900, help="step up to which pictures outweigh the rest")
    parser.add_argument(
        "--look-seconds", type=float, default=540.0, help="time between checkpoints and looks at held-out data"
    )
    parser.add_argument("--smoke", action="store_true", help="a few steps of each stage, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.vision_steps, args.pictures, args.pool, args.steps, args.rows = 6, 16, 64, 4, 3
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.stage in ("vision", "all"):
        train_vision(args)
    if args.stage in ("language", "all"):
        train_language(args)


if __name__ == "__main__":
    main()
