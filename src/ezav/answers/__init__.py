"""Many files in, a table out: answers as CSV, Parquet, JSON or a contact sheet; resumable.

Example:
    >>> from ezav.answers import answer_files  # answer_files(recognizer, ["videos"], ["a.csv"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ezav.lazy import attach

if TYPE_CHECKING:
    from ezav.answers.answer import Answered, answer_files
    from ezav.answers.correcting import Correction, correct, corrections
    from ezav.answers.lists import read_lists
    from ezav.answers.media import media_files
    from ezav.answers.row import Answer
    from ezav.answers.work import AnswerSettings
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Answer": "ezav.answers.row",
            "AnswerSettings": "ezav.answers.work",
            "Answered": "ezav.answers.answer",
            "Correction": "ezav.answers.correcting",
            "answer_files": "ezav.answers.answer",
            "correct": "ezav.answers.correcting",
            "corrections": "ezav.answers.correcting",
            "media_files": "ezav.answers.media",
            "read_lists": "ezav.answers.lists",
        },
    )

__all__ = [
    "Answer",
    "AnswerSettings",
    "Answered",
    "Correction",
    "answer_files",
    "correct",
    "corrections",
    "media_files",
    "read_lists",
]
