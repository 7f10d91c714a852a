"""Suites: a published data set with a published setting, the key of recipes and their numbers."""

from __future__ import annotations

from ezav.features.header import Header

_SETTINGS = {
    "main": "main",
    "cls": "cls",
    "main temporal": "main",
    "cls temporal": "cls",
    "CLIP/CLAP": "clipclap",
}
"""A store's setting -> the setting under which papers report it."""


def suite_name(dataset: str, setting: str) -> str:
    """A store's dataset and setting as one word, the key of recipes and published numbers.

    Example:
        >>> suite_name("UCF simulated", "CLIP/CLAP"), suite_name("VGGSound", "cls temporal")
        ('ucf-clipclap', 'vggsound-cls')
    """
    first = (dataset.split() or [""])[0]  # a data set of one's own may be called anything
    return f"{first.lower()}-{_SETTINGS.get(setting, setting.lower())}"


def suite_of(header: Header) -> str:
    """The suite a store stands for, empty for data of one's own.

    The store must say that its splits are the published ones, or that it simulates them: a folder
    of one's own videos may be called "UCF" as well.

    Example:
        >>> suite_of(Header(dataset="UCF", setting="cls", encoders=()))
        ''
        >>> suite_of(Header(dataset="UCF simulated", setting="cls", encoders=(), simulated=True))
        'ucf-cls'
    """
    published = header.splits is not None and header.splits.how == "published"
    return suite_name(header.dataset, header.setting) if published or header.simulated else ""
