"""Prompts live beside this file as Markdown with a TOML header, in packs by model family; code never holds their words.

`$name` marks an input (so JSON braces need no escaping; a literal dollar is `$$`). The header must declare exactly the
inputs the body uses: a mismatch fails at load. Inserted text is never expanded again.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Literal

PACKS = Path(__file__).parent / "packs"
FENCE = "+++\n"


class PromptError(ValueError):
    """A prompt file and its use disagree."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt file, checked when loaded."""

    name: str
    purpose: str
    inputs: frozenset[str]
    body: Template
    digest: str
    """First 12 hex digits of the file's SHA-256."""

    def fill(self, **values: str) -> str:
        """Return the body with every input replaced."""
        if values.keys() != self.inputs:
            raise PromptError(f"{self.name!r} takes {sorted(self.inputs)}, was given {sorted(values)}")
        return self.body.substitute(values).strip()


@dataclass(frozen=True, kw_only=True)
class Pack:
    """How one family of models is spoken to: its prompts and the bounds of its context."""

    name: str
    steps: Literal["lines", "messages"]
    """How this turn's tool results are shown: as digest lines, or as tool calls and tool messages."""
    recent_messages: int
    """How many earlier messages of the dialogue are repeated."""
    said_chars: int
    """A person's message is shown up to here."""
    line_chars: int
    """Any other line is shown up to here."""
    pictures: int
    """How many of the latest pictures are listed."""
    references: int
    """How many of the latest attachments are listed."""
    shows_pictures: bool
    """Whether the current picture and unread attachments are shown when deciding."""

    def prompt(self, name: str) -> Prompt:
        """Return one of the pack's prompts."""
        return load(f"{self.name}/{name}")


@cache
def load(name: str) -> Prompt:
    """Read `prompts/packs/<name>.md`."""
    path = PACKS / f"{name}.md"
    if not path.is_file():
        raise PromptError(f"there is no prompt {name!r}")
    text = path.read_text(encoding="utf-8")
    try:
        _, header, body = text.split(FENCE, maxsplit=2)
        meta = tomllib.loads(header)
        template, declared = Template(body), frozenset[str](meta["inputs"])
    except (ValueError, KeyError) as error:
        raise PromptError(f"{name!r} has no proper header: {error}") from error
    if not template.is_valid() or frozenset(template.get_identifiers()) != declared:
        raise PromptError(f"{name!r} declares {sorted(declared)} but its body says otherwise")
    return Prompt(
        name=name,
        purpose=str(meta["purpose"]),
        inputs=declared,
        body=template,
        digest=hashlib.sha256(text.encode()).hexdigest()[:12],
    )


@cache
def load_pack(name: str) -> Pack:
    """Read `prompts/packs/<name>/pack.toml`."""
    path = PACKS / name / "pack.toml"
    if not path.is_file():
        known = sorted(p.parent.name for p in PACKS.glob("*/pack.toml"))
        raise PromptError(f"there is no prompt pack {name!r}, only {known}")
    try:
        return Pack(name=name, **tomllib.loads(path.read_text(encoding="utf-8")))
    except TypeError as error:
        raise PromptError(f"pack {name!r}: {error}") from error
