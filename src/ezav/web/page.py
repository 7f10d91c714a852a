"""The page: a clip and a list of names on the left, the answer and why on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.utils import get_upload_folder

from ezav.recognizer import Recognizer
from ezav.web import render
from ezav.web.answers import Answers
from ezav.web.example import NAMES
from ezav.web.settings import WebSettings
from ezav.web.visit import Visit

_HERE = Path(__file__).parent
STYLE = (_HERE / "style.css").read_text(encoding="utf-8")
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
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
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
        examples: clips in the folder of uploads that are offered for a try, the first with a
            button of its own.
        forget: called with a session that ended: its files go.
        remember: called with a session and a file of it.
    """
    recognizer = answers.recognizer
    listed = len(recognizer.classes) <= min(_LISTED, settings.max_names)
    every = "\n".join(recognizer.classes) if listed else ""
    visit = Visit(answers, remember, bool(examples), settings.root_path)

    def ended(request: gr.Request) -> None:
        forget(str(request.session_hash))

    def tried(names: str) -> tuple[str, str]:
        nothing = not names.strip() and not recognizer.classes
        return str(examples[0]), "\n".join(NAMES) if nothing else names

    with gr.Blocks(title="ezav", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(render.head(recognizer), elem_classes="ezav-head")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                asked = _questions(recognizer, settings, every, examples)
            with gr.Column(min_width=320):
                shown = _answers(recognizer, examples)
        as_data = gr.JSON(visible=False)
        api = gr.Button(visible=False)
        given, answer = [asked.clip, asked.names], [shown.ranking, shown.evidence, shown.why]
        reading: dict[str, Any] = {
            "concurrency_limit": settings.workers,
            "concurrency_id": "clips",
        }
        seen: dict[str, Any] = {"api_visibility": "private", "show_progress_on": shown.ranking}
        at_once: dict[str, Any] = {"api_visibility": "private", "queue": False}
        asked.ask.click(visit.recognise, given, answer, **reading, **seen)
        shown.why.click(visit.why, given, answer, **reading, **seen)
        # Not `input`: an example is answered at once, too.
        play = [shown.player, shown.offered]
        asked.clip.change(visit.play, [asked.clip], play, **at_once, show_progress="hidden")
        asked.clip.change(visit.changed, given, answer, **reading, **seen)
        asked.camera.change(_taken, [asked.camera], [asked.clip], **at_once)
        shown.offered.click(tried, [asked.names], given, **at_once)
        asked.reset.click(lambda: every, None, [asked.names], **at_once)
        api.click(visit.predict, given, [as_data], api_name="predict", **reading)
        api.click(visit.predict_and_explain, given, [as_data], api_name="explain", **reading)
        page.unload(ended)
    tell_what_is_read(page)
    made: gr.Blocks = page
    return made


class _Asked(NamedTuple):
    """What a visitor fills in and presses."""

    clip: gr.File
    camera: gr.Video
    names: gr.Textbox
    ask: gr.Button
    reset: gr.Button


class _Shown(NamedTuple):
    """What a visitor gets."""

    player: gr.HTML
    ranking: gr.HTML
    offered: gr.Button
    why: gr.Button
    evidence: gr.HTML


def _questions(
    recognizer: Recognizer, settings: WebSettings, every: str, examples: Sequence[Path]
) -> _Asked:
    """The left side: a clip, the names, two buttons, examples."""
    # Any file: what it is, is seen when it is read. A list of kinds would leave some out.
    clip = gr.File(
        label=f"Clip, picture or sound, up to {settings.max_seconds:g} s and "
        f"{settings.max_megabytes:g} MB",
        height=170,
        elem_id="ezav-clip",
    )
    take_uploads_only(clip)
    # Gradio would make an empty file beside each upload, and leave it there.
    clip.preprocess = _path_of  # type: ignore[assignment, method-assign]
    with gr.Accordion("Record one", open=False, elem_id="ezav-record"):
        camera = gr.Video(
            label="Camera and microphone",
            sources=["webcam"],
            include_audio=True,
            webcam_options=gr.WebcamOptions(mirror=False),
            elem_id="ezav-camera",
        )
    take_uploads_only(camera)
    count = len(recognizer.classes)
    names = gr.Textbox(
        label="Classes, one a line; any names you like, or name: description",
        info=(f"Empty: all {count} classes of the run. " if count else "")
        + "A description after a colon is read in the name's place.",
        placeholder="a dog\nkettle: a kettle of water that boils on a stove",
        value=every,
        lines=8,
        max_lines=14,
        max_length=settings.max_letters,
        elem_id="ezav-classes",
    )
    with gr.Row():
        ask = gr.Button("Recognise", variant="primary", elem_id="ezav-ask")
        reset = gr.Button("Classes of the run", elem_id="ezav-reset", visible=bool(count))
    if len(examples) > 1:
        gr.Examples(
            [[str(path)] for path in examples],
            [clip],
            label="Examples",
            example_labels=[path.stem for path in examples],
        )
    return _Asked(clip, camera, names, ask, reset)


def _answers(recognizer: Recognizer, examples: Sequence[Path]) -> _Shown:
    """The right side: the clip, the ranking, and why."""
    player = gr.HTML("", elem_id="ezav-player", js_on_load=_script("player.js"))
    ranking = gr.HTML(
        render.hint(recognizer.is_frozen),
        elem_classes="ezav-answer",
        elem_id="ezav-ranking",
        js_on_load=_script("answer.js"),
    )
    offered = gr.Button(
        f"Try it: {examples[0].stem}" if examples else "",
        elem_id="ezav-try",
        visible=bool(examples),
    )
    why = gr.Button("Why this answer?", elem_id="ezav-why", visible=False)
    evidence = gr.HTML("", elem_classes="ezav-answer", elem_id="ezav-evidence")
    return _Shown(player, ranking, offered, why, evidence)


def _script(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _path_of(upload: Any) -> str | None:
    return str(upload.path) if upload else None


def _taken(recorded: str | None) -> str | None:
    """What was recorded is a clip like any other."""
    return recorded


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


def take_uploads_only(component: gr.File | gr.Video) -> None:
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
