"""The published text embedding files: word2vec always, CLIP and CLAP where they are at hand."""

from __future__ import annotations

from pathlib import Path

from ezav.classes import ClassEmbeddings
from tests.shared_data import published_text

FILES = {
    "ucf word2vec": ("word2vec", "word_embeddings_ucf_normed.npy", 101, 300),
    "activitynet word2vec": ("word2vec", "word_embeddings_activity_normed.npy", 200, 300),
    "vggsound word2vec": ("word2vec", "word_embeddings_vggsound_normed.npy", 309, 300),
    "activitynet clip": ("clip", "word_embeddings_activitynet_normed.npy", 200, 512),
    "vggsound clip": ("clip", "word_embeddings_vggsound_normed.npy", 309, 512),
    "activitynet clap": ("clap", "wavcaps_word_embeddings_activitynet_normed.npy", 200, 1024),
    "vggsound clap": ("clap", "wavcaps_word_embeddings_vggsound_normed.npy", 309, 1024),
}


def path_of(key: str) -> Path:
    folder, name, _, _ = FILES[key]
    return published_text(folder, name)


def load(key: str) -> ClassEmbeddings:
    return ClassEmbeddings.load(path_of(key))
