"""The commands of the loop in the README, pasted where there are recordings of the same names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.docs.blocks import ROOT, Reader, blocks_of
from tests.media.files import write_clip

ACTIONS = ("Archery", "BodyWeightSquats", "Bowling", "BrushingTeeth")


def test_the_loop_of_the_readme(tmp_path: Path) -> None:
    for row, name in enumerate(ACTIONS):
        (tmp_path / "VIDEOS" / name).mkdir(parents=True)
        for number in range(4):
            clip = tmp_path / "VIDEOS" / name / f"v_{name}_g0{number}_c0{4 + number // 2}.mp4"
            draw = np.random.default_rng(10 * row + number)
            write_clip(
                clip,
                frames=4,
                tone=200.0 * (row + 1) + 20 * number,
                picture=lambda n, d=draw: d.integers(0, 255, (48, 64, 3), np.uint8),
            )
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    loop = blocks_of(text.split("## The loop")[1].split("\n## ")[0])
    assert [one.language for one in loop] == ["yaml", "sh", "text"]
    names, commands, shown = loop
    reader = Reader(tmp_path)
    reader.paste(names)
    reader.paste(commands)
    assert (tmp_path / "names.html").is_file()
    assert "written: TAUGHT" in reader.said
    assert "right for" in reader.said
    # What does not depend on the recordings is what the page shows.
    for line in ("Bowling: a new class, 2 clips (2 added)", "written: TAUGHT"):
        assert line in shown.text
        assert line in reader.said
    for word in ("features are kept in 'VIDEOS/.ezav-store'", "run folder: ALL"):
        assert word in reader.said
