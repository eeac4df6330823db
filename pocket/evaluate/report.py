"""The result file: shares with their intervals, and everything needed to know what was measured where."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pocket.evaluate.counts import Share

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "detectors": ("style", "atmosphere", "theme", "elements", "colour", "shape", "recall", "miou"),
    "vae": ("style", "shape", "colour"),
    "image": ("recall", "colour", "shape", "place", "atmosphere", "style", "theme", "elements", "seconds"),
    "image_3_4": ("recall", "colour", "shape", "place", "atmosphere", "style", "theme", "elements", "seconds"),
    "vlm": (
        "artistic_style",
        "atmosphere",
        "theme",
        "visual_elements",
        "hallucinated",
        "layout",
        "decision",
        "critique",
    ),
}
"""What each part reports."""

GATES: Final[dict[str, dict[str, float]]] = {
    "detectors": {
        "style": 0.98,
        "atmosphere": 0.98,
        "theme": 0.98,
        "elements": 0.98,
        "colour": 0.98,
        "shape": 0.95,
        "recall": 0.98,
        "miou": 0.85,
    },
    "vae": {"style": 0.95, "shape": 0.95, "colour": 0.95},
    "image": {
        "recall": 0.85,
        "colour": 0.85,
        "shape": 0.75,
        "place": 0.85,
        "atmosphere": 0.90,
        "style": 0.80,
        "theme": 0.85,
        "elements": 0.80,
        "seconds": 1.5,
    },
    "image_3_4": {},
    "vlm": {
        "artistic_style": 0.90,
        "atmosphere": 0.90,
        "theme": 0.90,
        "visual_elements": 0.90,
        "hallucinated": 0.03,
        "layout": 0.90,
        "decision": 0.90,
        "critique": 0.85,
    },
}
"""The first gates: what a value must reach, or stay under for those in `AT_MOST`."""
AT_MOST: Final = frozenset({"seconds", "hallucinated"})


def passed(part: str, key: str, value: float) -> bool | None:
    """Say whether a value meets its gate; None where there is none."""
    gate = GATES[part].get(key)
    if gate is None:
        return None
    return value <= gate if key in AT_MOST else value >= gate


@cache
def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every weight file under a folder."""
    return {str(p.relative_to(folder)): digest(p) for p in sorted(folder.rglob("*.safetensors"))}


def name_of(files: Mapping[str, str]) -> str:
    """Name a set of weight files in sixteen hex digits."""
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()[:16]


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    processor = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        processor = named[0].partition(":")[2].strip() if named else ""
    return {
        "processor": processor or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "diffusers", "transformers", "numpy")},
    }


class Report:
    """One result file; parts measured at different times come together in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def add(
        self,
        part: str,
        shares: Mapping[str, Share],
        numbers: Mapping[str, float],
        weights: Mapping[str, str],
        **notes: Any,
    ) -> None:
        """Put one part into the file.

        Args:
            part: one of `KEYS`.
            shares: right answers, by key.
            numbers: values that are no shares, by key.
            weights: SHA-256 of the weight files measured.
            notes: what else to write down about how it was measured.
        """
        values = {key: share.value for key, share in shares.items()} | dict(numbers)
        missing = [key for key in KEYS[part] if key not in values]
        if missing:
            raise ValueError(f"{part} must report {missing!r} as well")
        self.data[part] = {key: _rounded(values[key]) for key in KEYS[part]}
        self._beside("more", part, {k: _rounded(v) for k, v in values.items() if k not in KEYS[part]})
        self._beside("n", part, {key: share.n for key, share in shares.items()})
        intervals = {key: share.interval for key, share in shares.items()}
        self._beside("interval", part, {k: [_rounded(i[0]), _rounded(i[1])] for k, i in intervals.items() if i})
        self._beside("weights", part, dict(weights))
        self._beside("date", part, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self._beside("machine", part, machine() | notes)

    def _beside(self, section: str, part: str, value: Any) -> None:
        self.data.setdefault(section, {})[part] = value

    def write(self) -> None:
        """Write the file, readable and in a stable order."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1) + "\n", encoding="utf-8")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
