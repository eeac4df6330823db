"""The parts of the measurement, each from weights to numbers in a report."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from pocket.evaluate import detectors, image
from pocket.evaluate.cells import Cells
from pocket.evaluate.counts import Share, tally
from pocket.evaluate.errors import MissingWeightsError
from pocket.evaluate.report import KEYS, Report, digests, name_of

PARTS: Final = ("detectors", "vae", "image", "image_3_4", "vlm")
SIZES: Final[dict[str, int]] = {"detectors": 1000, "vae": 300, "image": 300, "image_3_4": 150, "vlm": 0}
"""Scenes or prompts of a full measurement; the vision-language model has sizes of its own."""
BLUR: Final = 0.5
NOISE: Final = 0.02
VLM_MEASURE: Final = "pocket.vlm.measure"

Progress = Callable[[int, int], None]


class MeasureVlm(Protocol):
    """`pocket.vlm.measure.measure`: right answers and questions asked, for each key of the report."""

    def __call__(self, limit: int | None, folder: Path, painter: Path, /) -> Mapping[str, tuple[int, int]]: ...


@dataclass(frozen=True)
class Plan:
    """What to measure and on which weights."""

    weights: Path
    """A diffusers folder: the whole pipeline, or for the part `vae` at least its `vae`."""
    vlm_weights: Path
    cells: Cells
    sampling: image.Sampling = field(default_factory=image.Sampling)
    limit: int | None = None

    def size(self, part: str) -> int:
        """Return how many scenes or prompts of a part are measured."""
        return min(SIZES[part], self.limit) if self.limit else SIZES[part]


def run_detectors(plan: Plan, report: Report, progress: Progress) -> None:
    """Measure the detectors on clean renders, and beside it on blurred and noisy ones."""
    count = plan.size("detectors")
    shares, overlap = detectors.measure("test", count, progress=progress)
    rough, _ = detectors.measure("test", count // 3 or 1, lambda p, i: detectors.degraded(p, BLUR, NOISE, i))
    more = {f"{key}_blur_noise": share for key, share in rough.items()}
    report.add("detectors", shares | more, {"miou": overlap or 0.0}, {}, blur=BLUR, noise=NOISE)


def run_vae(plan: Plan, report: Report, progress: Progress) -> None:
    """Measure what the detectors see in reconstructions, as a share of what they see in the clean pictures."""
    from diffusers import AutoencoderKL

    folder = plan.weights / "vae"
    if not (folder / "config.json").exists():
        raise MissingWeightsError(f"no VAE in {str(folder)!r}: run `make train-image`, or name another --weights")
    vae = AutoencoderKL.from_pretrained(folder, local_files_only=True)
    count = plan.size("vae")
    clean, _ = detectors.measure("test", count)
    seen, overlap = detectors.measure("test", count, detectors.reconstruction(vae), progress)
    relative = {key: (seen[key].value or 0.0) / (clean[key].value or 1.0) for key in seen}
    # The shares give n and the interval; what is reported is their ratio to the clean pictures'.
    report.add("vae", seen, relative | {"miou_reconstructed": overlap or 0.0}, digests(folder), scenes=count)


def run_image(part: str, plan: Plan, report: Report, progress: Progress) -> list[image.Sample]:
    """Measure generated pictures; returns them for the contact sheet."""
    import torch

    weights = digests(plan.weights)
    samples = image.measure(part, plan.weights, name_of(weights), plan.size(part), plan.cells, plan.sampling, progress)
    shares = {key: Share(0, 0) for key in KEYS[part] if key != "seconds"}
    shares |= tally(sample.answers for sample in samples)
    seconds = float(np.median([sample.seconds for sample in samples]))
    notes = {"prompts": len(samples), "threads": torch.get_num_threads(), **asdict(plan.sampling)}
    report.add(part, shares, {"seconds": seconds}, weights, **notes)
    return samples


def run_vlm(plan: Plan, report: Report, progress: Progress) -> None:
    """Measure the vision-language model by its own package's measurement."""
    if importlib.util.find_spec(VLM_MEASURE) is None:
        raise MissingWeightsError(f"the part 'vlm' needs {VLM_MEASURE}, which this version does not have")
    if not (plan.vlm_weights / "config.json").exists():
        raise MissingWeightsError(f"no pocket Qwen-VL in {str(plan.vlm_weights)!r}: run `make train-vlm`")
    measure: MeasureVlm = importlib.import_module(VLM_MEASURE).measure
    counts = measure(plan.limit, plan.vlm_weights, plan.weights)
    shares = {key: Share(hits, asked) for key, (hits, asked) in counts.items()}
    progress(1, 1)
    report.add("vlm", shares, {}, digests(plan.vlm_weights))


def run(part: str, plan: Plan, report: Report, progress: Progress) -> list[image.Sample]:
    """Measure one part and write it down; returns generated pictures if there are any."""
    runs: dict[str, Callable[[Plan, Report, Progress], Any]] = {
        "detectors": run_detectors,
        "vae": run_vae,
        "vlm": run_vlm,
    }
    if part in runs:
        runs[part](plan, report, progress)
        return []
    return run_image(part, plan, report, progress)
