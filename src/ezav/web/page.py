"""The page: a clip and a list of names on the left, the answer and why on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.utils import get_upload_folder

from ezav.features.simulated import simulated_banner
from ezav.naming import as_html
from ezav.recognizer import Recognizer
from ezav.web import render
from ezav.web.answers import Answers, in_words
from ezav.web.settings import WebSettings

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
_LISTED = 300
"""Classes of the run that are written into the text field to begin with."""


def theme() -> gr.themes.Base:
    """Fonts of the visitor's own system (none is fetched), and text that has enough contrast."""
    own = gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return own.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
    )


def build(
    answers: Answers,
    settings: WebSettings,
    examples: Sequence[Path],
    forget: Callable[[str], None],
    remember: Callable[[str, str], None],
) -> gr.Blocks:
    """The page as Gradio blocks.

    Args:
        examples: clips offered for a try.
        forget: called with a session that ended: its files go.
        remember: called with a session and a file of it.
    """
    recognizer = answers.recognizer
    listed = len(recognizer.classes) <= min(_LISTED, settings.max_names)
    every = "\n".join(recognizer.classes) if listed else ""
    visit = _Visit(answers, remember)

    def ended(request: gr.Request) -> None:
        forget(str(request.session_hash))

    with gr.Blocks(title="ezav", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_head(recognizer), elem_classes="ezav-head")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                asked = _questions(recognizer, settings, every, examples)
            with gr.Column(min_width=320):
                shown = _answers()
        as_data = gr.JSON(visible=False)
        api = gr.Button(visible=False)
        given = [asked.clip, asked.names]
        one_at_a_time: dict[str, Any] = {
            "concurrency_limit": settings.workers,
            "concurrency_id": "clips",
        }
        seen: dict[str, Any] = {"api_visibility": "private", "scroll_to_output": True}
        asked.ask.click(visit.recognise, given, shown, **one_at_a_time, **seen)
        # Not `input`: an example is answered at once, too.
        asked.clip.change(visit.changed, given, shown, **one_at_a_time, **seen)
        api.click(visit.predict, given, [as_data], api_name="predict", **one_at_a_time)
        asked.reset.click(lambda: every, None, [asked.names], api_visibility="private", queue=False)
        page.unload(ended)
    tell_what_is_read(page)
    made: gr.Blocks = page
    return made


class _Visit:
    """What happens when a visitor presses, or changes, something.

    Args:
        answers: to the questions.
        remember: called with a session and a file of it.
    """

    def __init__(self, answers: Answers, remember: Callable[[str, str], None]) -> None:
        self._answers = answers
        self._remember = remember

    def recognise(self, upload: str | None, names: str, request: gr.Request) -> tuple[str, str]:
        """The answer and what speaks for it, as HTML."""
        self._keep(upload, request)
        try:
            found, looked = self._answers.answer(upload, names)
            return render.ranking(found), render.evidence(found, looked.shown)
        except Exception as error:
            return render.message(in_words(error)), ""

    def changed(self, upload: str | None, names: str, request: gr.Request) -> tuple[str, str]:
        """Another clip is there, or none any more."""
        return self.recognise(upload, names, request) if upload else (render.hint(), "")

    def predict(self, upload: str | None, names: str, request: gr.Request) -> dict[str, Any]:
        """The answer as data, for programs."""
        self._keep(upload, request)
        try:
            return self._answers.answer(upload, names)[0].as_dict()
        except Exception as error:
            raise gr.Error(in_words(error), print_exception=False) from None

    def _keep(self, upload: str | None, request: gr.Request) -> None:
        if upload:
            self._remember(str(request.session_hash), upload)


class _Asked(NamedTuple):
    """What a visitor fills in and presses."""

    clip: gr.Video
    names: gr.Textbox
    ask: gr.Button
    reset: gr.Button


def _questions(
    recognizer: Recognizer, settings: WebSettings, every: str, examples: Sequence[Path]
) -> _Asked:
    """The left side: a clip, the names, two buttons, examples."""
    clip = gr.Video(
        label=f"Clip, up to {settings.max_seconds:g} s and {settings.max_megabytes:g} MB",
        sources=["upload", "webcam"],
        include_audio=True,
        elem_id="ezav-clip",
    )
    take_uploads_only(clip)
    names = gr.Textbox(
        label="Classes, one a line; any names you like, or name: description",
        info=f"Empty: all {len(recognizer.classes)} classes of the run."
        if recognizer.classes
        else "Nothing was trained: these names are all there is to choose from.",
        value=every,
        lines=8,
        max_lines=14,
        max_length=settings.max_letters,
        elem_id="ezav-classes",
    )
    with gr.Row():
        ask = gr.Button("Recognise", variant="primary", elem_id="ezav-ask")
        reset = gr.Button("Classes of the run", elem_id="ezav-reset")
    if examples:
        gr.Examples(
            [[str(path)] for path in examples],
            [clip],
            label="Examples",
            example_labels=[path.stem for path in examples],
        )
    return _Asked(clip, names, ask, reset)


def _answers() -> list[gr.HTML]:
    """The right side: the ranking, and why."""
    ranking = gr.HTML(
        render.hint(),
        elem_classes="ezav-answer",
        elem_id="ezav-ranking",
        # A screen reader tells the answer when it comes.
        js_on_load="element.setAttribute('aria-live', 'polite')",
    )
    return [ranking, gr.HTML("", elem_classes="ezav-answer", elem_id="ezav-evidence")]


def tell_what_is_read(page: gr.Blocks) -> None:
    """Answer in words what no page sends; Gradio would say `{"error": null}`."""
    read = page.preprocess_data

    async def preprocess_data(*args: Any, **options: Any) -> Any:
        try:
            return await read(*args, **options)
        except gr.Error:
            raise
        except Exception:
            raise gr.Error(
                "Only an uploaded file is read, and the names of classes as text.",
                print_exception=False,
            ) from None

    page.preprocess_data = preprocess_data  # type: ignore[method-assign]


def take_uploads_only(component: gr.Video) -> None:
    """Refuse any path and address that a client sends but that of an uploaded file.

    Gradio would fetch an address; and of a page that another application serves it checks no path.
    """
    fetch = component.async_move_resource_to_block_cache

    async def move(address: str | Path | None) -> str | None:
        folder = Path(get_upload_folder()).resolve()
        if address is not None and (
            "://" in str(address) or not Path(address).resolve().is_relative_to(folder)
        ):
            raise gr.Error("Only an uploaded file is read.", print_exception=False)
        return await fetch(address)

    component.async_move_resource_to_block_cache = move  # type: ignore[assignment, method-assign]


def _head(recognizer: Recognizer) -> str:
    if recognizer.is_frozen:
        made = ", ".join(one.name for one in recognizer.header.encoders)
        honest = (
            f"calibration error {recognizer.ece_:.1%} on labelled clips"
            if recognizer.calibration.fitted
            else "probabilities are uncalibrated"
        )
        said = "".join(f" {as_html(why)}." for why in recognizer.unused.values())
        return (
            "<h1>What is in this clip?</h1>"
            f"<p>Nothing trained: names against what {as_html(made)} says of the clip; {honest}."
            f"{said}</p>"
        )
    result = recognizer.result
    seen = len(recognizer.seen)
    simulated = f" <strong>{as_html(simulated_banner())}</strong>" if result.simulated else ""
    caution = recognizer.caution
    warning = f'<p class="ezav-note">This run: {as_html(caution)}.</p>' if caution else ""
    what = f"{as_html(result.label or result.method)} on {as_html(result.dataset)}"
    return (
        "<h1>What is in this clip?</h1>"
        f"<p>{what}: {seen} seen and "
        f"{len(recognizer.classes) - seen} unseen classes, test HM {result.metrics.HM:.1%}, "
        f"calibration error {recognizer.ece_:.1%}.{simulated}</p>{warning}"
    )
