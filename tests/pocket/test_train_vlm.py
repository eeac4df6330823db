"""The training command of the pocket Qwen-VL: both stages run, it resumes, and the program loads what it leaves."""

import sys
from pathlib import Path

import pytest

from pocket.train.vlm import main
from vlm.engine import Engine


def test_smoke_run_leaves_a_loadable_model_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vlm", "--out", str(tmp_path), "--smoke"])

    main()

    engine = Engine.load(tmp_path / "model")
    assert engine.family == "qwen3_vl"
    assert (tmp_path / "language.ckpt").exists()
    first = capsys.readouterr().out
    assert "language 4/4" in first

    main()  # everything is done already: it only looks again

    assert "language 4/4" not in capsys.readouterr().out
