"""A tiny data set folder with class lists of our own, so that these tests need no real data."""

from __future__ import annotations

from pathlib import Path

CLASSES = {
    "Archery": "Archery",
    "BandMarching": "Band Marching",
    "CleanAndJerk": "Weight Lifting",
    "CliffDiving": "Cliff Diving",
    "HandstandPushups": "Handstand Pushups",
    "IceDancing": "Ice Dancing",
    "PlayingCello": "Playing Cello",
    "YoYo": "YoYo",
}
LISTS = {
    "stage_1_train": ["Archery", "HandStandPushups", "CleanAndJerk"],
    "stage_1_val_seen": ["Archery", "HandStandPushups", "CleanAndJerk"],
    "stage_1_val_unseen": ["CliffDiving"],
    "stage_2_test_seen": ["Archery", "CleanAndJerk", "CliffDiving", "HandStandPushups"],
    "stage_2_test_unseen": ["IceDancing", "PlayingCello"],
}


def write_class_split(folder: Path) -> Path:
    """A UCF class-split folder with the eight classes above, two of them in no list."""
    (folder / "cls_split").mkdir(parents=True)
    (folder / "all_class.txt").write_text("\n".join(CLASSES))
    table = "".join(f"{name},{text}\n" for name, text in CLASSES.items())
    (folder / "ucf_w2v_class_names.csv").write_text("original,manual\n" + table)
    rows = "".join(f"{name},{text},{text}\n" for name, text in CLASSES.items())
    (folder / "ucf_clip_class_names.csv").write_text("original,manual,clip_class_name\n" + rows)
    for name, classes in LISTS.items():
        (folder / "cls_split" / f"{name}.txt").write_text("\n".join(classes) + "\n")
    return folder
