"""What words are worth with nothing trained, and what each part of them is for.

    python perf/words.py MANIFEST [MANIFEST ...]

A manifest is a CSV `path,class`, or a folder of class folders. Pictures alone, all its classes as
candidates; the rows differ in one thing each from what `ezav.encoders.words` does. Half a minute a
hundred clips.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from ezav.encoders.labelled import knows_labels
from ezav.encoders.names import readable_names
from ezav.encoders.registry import load_text, load_visual
from ezav.encoders.words import label_vectors, similarity, words
from ezav.extraction import list_videos
from ezav.media import read_clip


def tokens_of(videos: Path) -> tuple[list[np.ndarray], list[str]]:
    visual = load_visual("efficientnet")
    found, classes = [], []
    for item in list_videos(videos).items:
        frames = read_clip(item.path, video=visual.card.needs.frame_spec).frames
        if frames is not None:
            found.append(visual.encode([frames])[0].values)
            classes.append(item.class_name)
    return found, classes


def table(videos: Path) -> None:
    clips, classes = tokens_of(videos)
    names = sorted(set(classes))
    truth = np.array([names.index(name) for name in classes])
    visual, text = load_visual("efficientnet"), load_text("minilm")
    assert knows_labels(visual)
    scores = torch.from_numpy(visual.label_scores(np.concatenate(clips)))
    ends = np.cumsum([len(clip) for clip in clips])[:-1]
    full = label_vectors(text, visual.labels)
    first = label_vectors(text, [label.split(", ")[0] for label in visual.labels])
    split, raw = (text.encode(lines).numpy() for lines in (readable_names(names), names))

    def clip_words(vectors: np.ndarray = full, **options: float) -> np.ndarray:
        found = words(scores, torch.tensor(vectors), **options).numpy()
        return np.stack([part.mean(axis=0) for part in np.split(found, ends)])

    def show(label: str, similarities: np.ndarray) -> None:
        print(f"| {label} | {100 * (similarities.argmax(axis=1) == truth).mean():.1f} |")

    usual, mean, none = clip_words(), full.mean(axis=0), np.zeros(full.shape[1])
    own, of_names = usual - usual.mean(axis=0), split - split.mean(axis=0)
    print(f"\n{videos}: {len(clips)} clips, {len(names)} classes, chance {100 / len(names):.1f}\n")
    print("| | accuracy, % |\n|---|---|")
    show("as it is", similarity(usual, split, mean))
    show("class names unsplit", similarity(usual, raw, mean))
    show("the first name of each label only", similarity(clip_words(first), split, first.mean(0)))
    show("logits as they are", similarity(clip_words(temperature=1.0), split, mean))
    show("half the logits", similarity(clip_words(temperature=2.0), split, mean))
    show("nothing taken off", similarity(usual, split, none))
    show("each side's own mean taken off", similarity(own, of_names, none))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+")
    for folder in parser.parse_args().videos:
        table(folder)
