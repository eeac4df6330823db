"""Profiles, the environment, and values out of range."""

from pathlib import Path

import pytest

from agent.settings import PROFILES, load_settings
from prompts import load_pack
from tools.errors import ConfigError


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_whole(profile: str) -> None:
    settings = load_settings(profile)

    assert settings.profile == profile
    assert load_pack(settings.pack).name == settings.pack
    assert settings.strengths.mode in {"none", "row", "centred"}


def test_the_environment_overrides_and_arguments_override_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTUNE_PROFILE", "sdxl")
    monkeypatch.setenv("ATTUNE_STEPS", "7")
    monkeypatch.setenv("ATTUNE_DATA", str(tmp_path))

    assert load_settings().profile == "sdxl"
    assert load_settings("pocket").steps == 7
    assert load_settings(steps=9).steps == 9
    assert load_settings(steps=None).data == tmp_path


@pytest.mark.parametrize(
    ("profile", "values", "told"),
    [("huge", {}, "no profile 'huge'"), (None, {"base_ratio": 3}, "base_ratio"), (None, {"colour": 1}, "colour")],
)
def test_a_bad_setting_is_named(profile: str | None, values: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_settings(profile, **values)
