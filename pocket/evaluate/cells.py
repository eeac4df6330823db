"""Measured cells kept in a JSON-lines file, so that an interrupted measurement goes on where it stopped."""

import hashlib
import json
from pathlib import Path
from typing import Any


def cell_key(*facts: Any) -> str:
    """Name a cell by everything its result depends on; sixteen hex digits."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


class Cells:
    """One line a cell: `{"key": .., "result": ..}`; a line cut short by an interrupt is measured again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[str, Any] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    cell = json.loads(line)
                    self._kept[cell["key"]] = cell["result"]
                except (json.JSONDecodeError, KeyError, TypeError):
                    continue

    def get(self, key: str) -> Any | None:
        """Return the result of a cell, or None if it was not measured yet."""
        return self._kept.get(key)

    def put(self, key: str, result: Any) -> None:
        """Keep a result; it is on disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        cut_short = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if cut_short else "") + json.dumps({"key": key, "result": result}) + "\n")
        self._kept[key] = result
