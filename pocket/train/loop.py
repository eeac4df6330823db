"""What every training run shares: seeds, schedule, averaged weights, checkpoints, progress, and a clean stop."""

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long a run is and how often it is written down."""

    steps: int
    learning_rate: float
    warmup: int = 200
    checkpoint_seconds: float = 300.0
    report_every: int = 50
    final_rate: float = 0.02
    """The learning rate at the last step as a share of the highest."""

    def rate(self, step: int) -> float:
        """Return the learning rate of `step`: linear warm-up, then a cosine."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        low = self.final_rate
        return self.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))


class Average:
    """Exponential moving average of the parameters of some modules (Karras' warm start: early steps forget faster)."""

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self.live = list(parameters)
        self.decay = decay
        self.mean = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.live], 1 - decay)  # pyright: ignore[reportPrivateUsage]

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange live and averaged values; calling it twice changes nothing."""
        for p, m in zip(self.live, self.mean, strict=True):
            kept = p.detach().clone()
            p.copy_(m)
            m.copy_(kept)


@dataclass(kw_only=True)
class Run:
    """One resumable training run: modules, optimisers, averages and the place of its checkpoints."""

    name: str
    folder: Path
    modules: dict[str, nn.Module]
    optimisers: list[torch.optim.Optimizer]
    budget: Budget
    average: Average
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    stopped: bool = False

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.ckpt"

    def save(self) -> None:
        """Write everything a resumed run needs; the old file stays until the new one is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(
            {
                "modules": {k: m.state_dict() for k, m in self.modules.items()},
                "optimisers": [o.state_dict() for o in self.optimisers],
                "average": self.average.mean,
                "step": self.step,
                "seconds": self.seconds,
                "history": self.history,
                "rng": torch.get_rng_state(),
            },
            partial,
        )
        os.replace(partial, self.checkpoint)

    def resume(self) -> bool:
        """Continue from the checkpoint if there is one."""
        if not self.checkpoint.exists():
            return False
        kept: dict[str, Any] = torch.load(self.checkpoint, weights_only=True)
        for name, module in self.modules.items():
            module.load_state_dict(kept["modules"][name])
        for optimiser, state in zip(self.optimisers, kept["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.average.mean = kept["average"]
        self.step, self.seconds, self.history = kept["step"], kept["seconds"], kept["history"]
        torch.set_rng_state(kept["rng"])
        return True

    def train(
        self,
        loss_of: Callable[[int], tuple[Tensor, dict[str, float]]],
        *,
        stop_after_seconds: float = math.inf,
        at_checkpoint: Callable[[], None] | None = None,
    ) -> None:
        """Run steps until the budget, the time or an interrupt ends it; always leaves a checkpoint.

        Args:
            loss_of: takes the step number, returns the loss and what to report.
            stop_after_seconds: end this call early, keeping the schedule; the next call resumes.
            at_checkpoint: called after each checkpoint, for instance to look at samples.
        """

        def interrupted(*_: object) -> None:
            self.stopped = True

        before = signal.signal(signal.SIGINT, interrupted), signal.signal(signal.SIGTERM, interrupted)
        parameters = [p for m in self.modules.values() for p in m.parameters() if p.requires_grad]
        started = last_kept = last_seen = time.monotonic()
        last_step, sums = self.step, dict[str, float]()
        try:
            while self.step < self.budget.steps and not self.stopped:
                rate = self.budget.rate(self.step)
                for optimiser in self.optimisers:
                    for group in optimiser.param_groups:
                        group["lr"] = rate * group.get("scale", 1.0)
                loss, report = loss_of(self.step)
                loss.backward()
                norm = nn.utils.clip_grad_norm_(parameters, 1.0)
                if not torch.isfinite(norm):
                    raise FloatingPointError(f"{self.name}: gradient is {norm} at step {self.step}; lower the rate")
                for optimiser in self.optimisers:
                    optimiser.step()
                    optimiser.zero_grad(set_to_none=True)
                self.average.update(self.step)
                self.step += 1
                for key, value in {"loss": loss.item(), **report}.items():
                    sums[key] = sums.get(key, 0.0) + value
                now = time.monotonic()
                if self.step % self.budget.report_every == 0 or self.step == self.budget.steps:
                    steps = self.step - last_step
                    line = {k: round(v / steps, 5) for k, v in sums.items()}
                    self.history.append({"step": self.step, "seconds": round(self.seconds + now - started), **line})
                    pace = (now - last_seen) / steps
                    left = (self.budget.steps - self.step) * pace / 60
                    where = f"{self.name} {self.step}/{self.budget.steps}"
                    print(f"{where} {json.dumps(line)} {pace:.3f} s/step, {left:.0f} min left", flush=True)
                    last_seen, last_step, sums = now, self.step, {}
                if now - last_kept > self.budget.checkpoint_seconds:
                    self._keep(now - started)
                    started = last_kept = time.monotonic()
                    if at_checkpoint:
                        at_checkpoint()
                if now - started > stop_after_seconds:
                    break
        finally:
            self._keep(time.monotonic() - started)
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])

    def _keep(self, seconds: float) -> None:
        self.seconds += seconds
        self.save()
