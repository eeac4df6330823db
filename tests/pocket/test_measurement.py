"""`python -m pocket.evaluate` from its command line, on real models of next to no parameters."""

import json
from pathlib import Path

import pytest
from PIL import Image

from pocket.evaluate import image
from pocket.evaluate.__main__ import main
from pocket.evaluate.cells import Cells, cell_key
from pocket.evaluate.counts import Share
from pocket.evaluate.report import GATES, KEYS, Report, passed


def run(folder: Path, tmp_path: Path, *more: str) -> int:
    files = ["--json", str(tmp_path / "r.json"), "--cells", str(tmp_path / "cells.jsonl"), "--weights", str(folder)]
    return main([*files, "--limit", "2", "--steps", "2", "--threads", "1", *more])


def test_all_image_parts_are_measured_and_described(sdxl_folder: Path, tmp_path: Path) -> None:
    assert run(sdxl_folder, tmp_path, "--only", "vae,image,image_3_4", "--sheet", str(tmp_path / "sheet.png")) == 0

    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    for part in ("vae", "image", "image_3_4"):
        assert set(report[part]) == set(KEYS[part])
        assert report["date"][part].endswith("Z")
        assert report["machine"][part]["processor"]
        assert all(len(value) == 64 for value in report["weights"][part].values())
    assert set(report["weights"]["image"]) >= {"unet/diffusion_pytorch_model.safetensors"}
    assert report["n"]["image"]["elements"] == 2
    assert report["image"]["seconds"] > 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 2 * 4 * 128


def test_a_second_run_takes_finished_cells(sdxl_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(sdxl_folder, tmp_path, "--only", "image")
    first = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["image"]
    cells = (tmp_path / "cells.jsonl").read_bytes()
    monkeypatch.setattr(image, "load", lambda _: pytest.fail("the pipeline was loaded again"))

    assert run(sdxl_folder, tmp_path, "--only", "image") == 0

    assert (tmp_path / "cells.jsonl").read_bytes() == cells
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["image"] == first


def test_other_sampling_is_another_cell(sdxl_folder: Path, tmp_path: Path) -> None:
    run(sdxl_folder, tmp_path, "--only", "image")
    run(sdxl_folder, tmp_path, "--only", "image", "--cfg", "2")

    assert len((tmp_path / "cells.jsonl").read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.parametrize("part", ["vae", "image", "image_3_4", "vlm"])
def test_missing_weights_are_named_and_do_not_stop_the_rest(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent"

    assert run(absent, tmp_path, "--only", f"{part},detectors", "--vlm-weights", str(absent)) == 2

    assert f"{part}: not measured." in capsys.readouterr().out
    assert "detectors" in json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))


def test_an_unknown_part_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, tmp_path, "--only", "images")

    assert "not images" in capsys.readouterr().err


def test_parts_measured_before_are_kept(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"vlm": {"layout": 0.9}}), encoding="utf-8")

    run(tmp_path, tmp_path, "--only", "detectors")

    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["vlm"] == {"layout": 0.9}


def test_a_cell_cut_short_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    Cells(path).put("a", 1)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"key": "b", "resu')

    cells = Cells(path)
    assert (cells.get("a"), cells.get("b")) == (1, None)
    cells.put("b", 2)

    assert (Cells(path).get("a"), Cells(path).get("b")) == (1, 2)


def test_a_cell_is_named_by_all_its_facts() -> None:
    assert len({cell_key(0, "a"), cell_key(1, "a"), cell_key(0, "b"), cell_key("0", "a")}) == 4


def test_a_report_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        Report(tmp_path / "r.json").add("vae", {"style": Share(1, 1), "colour": Share(1, 1)}, {}, {})


def test_gates_know_which_way_is_better() -> None:
    assert passed("image", "seconds", 1.4)
    assert not passed("image", "seconds", 1.6)
    assert passed("image", "recall", 0.85)
    assert passed("image_3_4", "recall", 0.1) is None
    assert all(set(gates) == set(KEYS[part]) for part, gates in GATES.items() if gates)


def test_prompts_are_held_out_fixed_and_fit() -> None:
    texts = [image.prompt("image", i).text for i in range(20)]

    assert texts == [image.prompt("image", i).text for i in range(20)]
    assert len(set(texts)) == 20
    assert {len(image.prompt("image", i).mentions) for i in range(20)} == {1, 2}
    assert {len(image.prompt("image_3_4", i).mentions) for i in range(20)} == {3, 4}
    assert len(image.prompt("image_3_4", 0, lambda text: len(text) < 120).text) < 120
