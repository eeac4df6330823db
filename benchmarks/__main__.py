"""`python -m benchmarks`: what guidance costs beside stock diffusers, and what a decision costs; both sides in one run.

Every case is run once unmeasured, then `--repeat` times in turn with the others: a busy machine slows all alike.
"""

import argparse
import asyncio
import json
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from agent.context import reason_messages
from agent.models import load_painter, load_reasoner
from agent.settings import PROFILES, load_settings
from agent.state import State, Turn
from diffusion.request import Guidance, Keyword, Region, RenderRequest
from prompts import load_pack
from tools.errors import ConfigError

CORNERS = ((0.02, 0.02, 0.48, 0.48), (0.52, 0.02, 0.98, 0.48), (0.02, 0.52, 0.48, 0.98), (0.52, 0.52, 0.98, 0.98))
SUBJECTS = ("a red circle", "a blue square", "a green triangle", "a yellow star")
NEUTRAL = Guidance(alpha=0.0, pooled_strength=0.0)

Cases = dict[str, Callable[[], object]]


def measured(cases: Cases, repeat: int) -> dict[str, dict[str, float]]:
    """Return the median, least and greatest seconds of each case."""
    for case in cases.values():
        case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeat):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - started)
    return {
        name: {"median": statistics.median(taken), "least": min(taken), "greatest": max(taken)}
        for name, taken in seconds.items()
    }


def painting(profile: str | None) -> Cases:
    """Stock diffusers, ours with nothing to do, ours with taste, and ours with taste and four regions."""
    settings = load_settings(profile)
    painter = load_painter(settings)
    pipe = getattr(painter, "pipe")  # noqa: B009 (the peer: the very pipeline that ours is built around)
    prompt = ", ".join(SUBJECTS)

    def ours(guidance: Guidance, *, taste: bool, regions: int) -> Callable[[], object]:
        request = RenderRequest(
            prompt=prompt,
            regions=tuple(Region(s, s, b) for s, b in list(zip(SUBJECTS, CORNERS, strict=True))[:regions]),
            keywords=(Keyword("gloomy", "atmosphere"), Keyword("halftone", "artistic_style")) if taste else (),
            guidance=guidance,
            steps=settings.steps,
            cfg=settings.cfg,
            seed=1,
            width=settings.width,
            height=settings.height,
        )
        return lambda: painter.render(request)

    def stock() -> object:
        noise = torch.Generator("cpu").manual_seed(1)
        return pipe(
            prompt=prompt,
            num_inference_steps=settings.steps,
            guidance_scale=settings.cfg,
            generator=noise,
            width=settings.width,
            height=settings.height,
        )

    return {
        "picture: stock diffusers": stock,
        "picture: ours, neutral": ours(NEUTRAL, taste=False, regions=0),
        "picture: ours, taste": ours(Guidance(), taste=True, regions=0),
        "picture: ours, taste and 4 regions": ours(Guidance(), taste=True, regions=4),
    }


def deciding(profile: str | None) -> Cases:
    """One decision of the reasoning model, decoded under its grammar."""
    settings = load_settings(profile)
    reasoner, pack = load_reasoner(settings), load_pack(settings.pack)
    messages = reason_messages(State(turn=Turn(said="a red circle on the left")), pack)

    def decide() -> object:
        return asyncio.run(reasoner.decide(messages, threading.Event(), lambda _, __: None))

    return {"decision": decide}


def main() -> int:
    """Run the benchmarks and print a table; `--json` keeps the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--profile", choices=sorted(PROFILES))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        cases = painting(arguments.profile) | deciding(arguments.profile)
    except ConfigError as error:
        print(f"benchmarks: {error}", file=sys.stderr)  # noqa: T201
        return 2
    results = measured(cases, arguments.repeat)
    base = results["picture: stock diffusers"]["median"]
    for name, row in results.items():
        share = f"  {row['median'] / base:5.2f} x stock" if name.startswith("picture") else ""
        print(f"{name:36} {row['median']:8.3f} s  ({row['least']:.3f} to {row['greatest']:.3f}){share}")  # noqa: T201
    if arguments.json:
        about = {"machine": platform.machine(), "threads": torch.get_num_threads(), "repeat": arguments.repeat}
        arguments.json.write_text(json.dumps(about | {"seconds": results}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
