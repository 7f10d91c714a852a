"""What happens on the page when a visitor presses, or changes, something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from ezav.web import render
from ezav.web.answers import Answers, in_words


class Visit:
    """The answers to everything that can be pressed; ranking, evidence, and the button "Why?".

    Args:
        answers: to the questions.
        remember: called with a session and a file of it.
        offers: whether the page has an example.
        root: the path under which a proxy has the page.
    """

    def __init__(
        self,
        answers: Answers,
        remember: Callable[[str, str], None],
        offers: bool = True,
        root: str = "",
    ) -> None:
        self._answers = answers
        self._remember = remember
        self._offers = offers
        self._files = f"{root}/gradio_api/file="

    def recognise(self, upload: str | None, names: str, request: gr.Request) -> list[Any]:
        """The answer; why it is so only when that is asked."""
        return self._answer(upload, names, request, explain=False)

    def why(self, upload: str | None, names: str, request: gr.Request) -> list[Any]:
        """The answer and what speaks for it."""
        return self._answer(upload, names, request, explain=True)

    def changed(self, upload: str | None, names: str, request: gr.Request) -> list[Any]:
        """Another clip is there, or none any more."""
        if upload:
            return self.recognise(upload, names, request)
        return [render.hint(self._answers.recognizer.is_frozen), "", gr.Button(visible=False)]

    def play(self, upload: str | None) -> tuple[str, Any]:
        """A player with the clip, before it is read; and whether an example is still offered."""
        offered = gr.Button(visible=self._offers and not upload)
        if not upload:
            return "", offered
        return render.player(self._files + quote(upload), Path(upload).name), offered

    def predict(self, upload: str | None, names: str, request: gr.Request) -> dict[str, Any]:
        """The answer as data, for programs."""
        return self._data(upload, names, request, explain=False)

    def predict_and_explain(
        self, upload: str | None, names: str, request: gr.Request
    ) -> dict[str, Any]:
        """The same with what sound, picture and each moment give to it."""
        return self._data(upload, names, request, explain=True)

    def _answer(
        self, upload: str | None, names: str, request: gr.Request, explain: bool
    ) -> list[Any]:
        self._keep(upload, request)
        try:
            found, looked = self._answers.answer(upload, names, explain)
        except Exception as error:
            return [render.message(in_words(error)), "", gr.Button(visible=False)]
        why = gr.Button(visible=not explain)
        return [render.ranking(found), render.evidence(found, looked.shown), why]

    def _data(
        self, upload: str | None, names: str, request: gr.Request, explain: bool
    ) -> dict[str, Any]:
        self._keep(upload, request)
        try:
            return self._answers.answer(upload, names, explain)[0].as_dict()
        except Exception as error:
            raise gr.Error(in_words(error), print_exception=False) from None

    def _keep(self, upload: str | None, request: gr.Request) -> None:
        if upload:
            self._remember(str(request.session_hash), upload)
