"""A scripted conversation, read from YAML and checked before anything runs.

title: Make, then change one thing
seed: 3
profile: pocket
turns:
  - say: a red circle on the left
    attach: [gloomy.png]
  - say: make it blue
"""

import difflib
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tools.errors import ConfigError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Said(_Part):
    """One turn."""

    say: str = Field(default="", description="What the person says.")
    attach: list[str] = Field(default=[], description="Picture files, relative to the scenario.")


class Scenario(_Part):
    """A whole conversation."""

    turns: list[Said] = Field(min_length=1, max_length=200)
    title: str = Field(default="", max_length=200)
    seed: int = Field(default=0, ge=0, lt=2**32, description="What every picture's seed follows from.")
    profile: str | None = None


def load_scenario(path: Path) -> Scenario:
    """Read a scenario; its attachments become absolute paths.

    Raises:
        ConfigError: with the place of the fault, and the nearest known key where one is misspelt.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the scenario {str(path)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(path)!r} is not YAML: {error}") from error
    try:
        scenario = Scenario.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{str(path)!r}: {_fault(error)}") from error
    turns: list[Said] = []
    for number, said in enumerate(scenario.turns, start=1):
        files = [(path.parent / name).resolve() for name in said.attach]
        for file in files:
            if not file.is_file():
                raise ConfigError(f"{str(path)!r}: turn {number} attaches {str(file)!r}, which is not there")
        turns.append(Said(say=said.say, attach=[str(file) for file in files]))
    return scenario.model_copy(update={"turns": turns})


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole file"
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg']}"
    key, known = str(first["loc"][-1]), Said.model_fields if len(first["loc"]) > 1 else Scenario.model_fields
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
    return f"{where}: there is no key {key!r}; {hint}"
