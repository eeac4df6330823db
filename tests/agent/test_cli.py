"""The commands, called as a person calls them, over a real tiny SDXL."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent import cli
from agent.png import read_png
from agent.terminal import split_attachments


@pytest.fixture(autouse=True)
def tiny(sdxl_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"IMAGE_MODEL": sdxl_folder, "CHAT_MODEL": tmp_path / "none", "DATA": tmp_path / "data", "STEPS": 2}
    for name, value in {**settings, "WIDTH": 64, "HEIGHT": 64}.items():
        monkeypatch.setenv(f"ATTUNE_{name}", str(value))


def attune(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr("sys.argv", ["attune", *(str(a) for a in arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_a_rendered_picture_replays_to_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.png"
    regions = ("--region", "cat|a cat|0,0,0.5,1", "--region", "dog|a dog|0.5,0,1,1")

    rendered = attune(
        monkeypatch,
        "render",
        "--prompt",
        "a cat",
        *regions,
        "--like",
        "atmosphere:gloomy:1.5",
        "--seed",
        "4",
        "--out",
        file,
    )

    assert rendered == 0
    assert read_png(file)[1].recipe.taste.phrase == "gloomy 1.5"
    assert attune(monkeypatch, "replay", file) == 0
    assert "equal" in capsys.readouterr().out


def test_a_replay_says_by_how_much_pixels_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agent.png import write_png

    file = tmp_path / "out.png"
    attune(monkeypatch, "render", "--prompt", "a cat", "--out", file)
    image, facts = read_png(file)
    pixels = np.asarray(image).copy()
    pixels[0, :32, 0] ^= 4
    write_png(file, Image.fromarray(pixels), facts)

    code = attune(monkeypatch, "replay", file)

    assert code == 1
    assert f"different: {32 / 64 / 64:.2%} of the pixels, by at most 4 of 255" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("render", "--prompt", "a cat", "--region", "cat|0,0,1,1", "--out", "x.png"), "NAME|PROMPT|left"),
        (("render", "--prompt", "a cat", "--region", "cat|a cat|0.5,0,0.2,1", "--out", "x.png"), "NAME|PROMPT|left"),
        (("render", "--prompt", "a cat", "--like", "mood:gloomy", "--out", "x.png"), "CATEGORY:KEYWORD"),
        (("render", "--prompt", "a cat", "--like", "theme:sea:9", "--out", "x.png"), "between -2 and 2"),
        (("render", "--prompt", "a cat", "--alpha", "-3", "--out", "x.png"), "alpha"),
        (("render", "--prompt", "a cat", "--profile", "huge", "--out", "x.png"), "no profile 'huge'"),
        (("run", "none.yaml", "--out", "out"), "none.yaml"),
        (("replay", "none.png"), "no file"),
        (("see", "none.png"), "cannot be read"),
    ],
)
def test_what_a_person_must_mend_is_said_in_one_line(
    arguments: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    code = attune(monkeypatch, *arguments)

    error = capsys.readouterr().err
    assert code == 2
    assert told in error
    assert len(error.strip().splitlines()) == 1


def test_missing_weights_are_named_with_their_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATTUNE_IMAGE_MODEL", str(tmp_path / "nowhere"))
    Image.new("RGB", (32, 32)).save(tmp_path / "mood.png")

    assert attune(monkeypatch, "render", "--prompt", "a cat", "--out", tmp_path / "x.png") == 2
    assert "ATTUNE_IMAGE_MODEL" in capsys.readouterr().err
    assert attune(monkeypatch, "see", tmp_path / "mood.png") == 2
    assert "ATTUNE_CHAT_MODEL" in capsys.readouterr().err


def test_a_foreign_picture_cannot_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "photo.png")
    (tmp_path / "notes.png").write_text("words", encoding="utf-8")

    assert attune(monkeypatch, "replay", tmp_path / "photo.png") == 2
    assert attune(monkeypatch, "replay", tmp_path / "notes.png") == 2
    assert "carries no recipe" in capsys.readouterr().err


def test_the_version_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert attune(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("attune")


@pytest.mark.parametrize(
    ("line", "text", "files"),
    [
        ("a red circle", "a red circle", []),
        ("like this: mood.png please", "like this: please", ["mood.png"]),
        ("'my mood.jpg'", "", ["my mood.jpg"]),
        ("it's like mood.png", "it's like", ["mood.png"]),
    ],
)
def test_paths_in_a_line_are_attached(line: str, text: str, files: list[str]) -> None:
    assert split_attachments(line) == (text, [Path(f) for f in files])
