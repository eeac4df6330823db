"""The example scenarios: they can be run, and their pictures are what the committed script draws."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.scenario import load_scenario
from pocket.world.render import picture

EXAMPLES = Path(__file__).parents[1] / "examples"
SCENARIOS = sorted(EXAMPLES.glob("*.yaml"))
SCENES = runpy.run_path(str(EXAMPLES / "make_references.py"))["SCENES"]


def test_there_are_three_and_the_demo_has_five_turns() -> None:
    assert len(SCENARIOS) >= 3
    assert {"demo.yaml", "refine.yaml"} <= {path.name for path in SCENARIOS}
    assert len(load_scenario(EXAMPLES / "demo.yaml").turns) == 5


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.name)
def test_every_scenario_is_sound(path: Path) -> None:
    scenario = load_scenario(path)

    assert scenario.title
    assert scenario.profile == "pocket"
    assert all(turn.say or turn.attach for turn in scenario.turns)


@pytest.mark.parametrize("name", sorted(SCENES))
def test_the_references_are_drawn_by_the_script(name: str) -> None:
    drawn = np.asarray(picture(SCENES[name]))
    kept = np.asarray(Image.open(EXAMPLES / "references" / name).convert("RGB"))

    np.testing.assert_array_equal(kept, drawn)


def test_every_reference_is_used() -> None:
    used = {Path(file).name for path in SCENARIOS for turn in load_scenario(path).turns for file in turn.attach}

    assert used == set(SCENES)
