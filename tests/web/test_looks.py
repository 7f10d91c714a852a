"""How the page looks and whom it lets in: sounds, what no browser plays, colours, keys, phones."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from ezav.recognizer.prediction import Kind
from tests.recognizer import small_run
from tests.web.browsing import CHROMIUM, Tab
from tests.web.conftest import Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium")

SOUNDS = {
    "wav": "pcm_s16le",
    "mp3": "libmp3lame",
    "flac": "flac",
    "m4a": "aac",
    "opus": "libopus",
}


def write_sound(path: Path, codec: str) -> Path:
    """The hum of the red light."""
    import av

    times = np.arange(2 * 48_000) / 48_000
    wave = (0.3 * np.sin(2 * np.pi * small_run.TONES["red light"] * times)).astype(np.float32)
    kind = {"m4a": "ipod", "opus": "ogg"}.get(path.suffix[1:], path.suffix[1:])
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        resampler = av.AudioResampler(stream.codec_context.format, "mono", 48_000)
        block = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
        block.sample_rate = 48_000
        fifo = av.AudioFifo()
        for frame in resampler.resample(block):
            fifo.write(frame)
        size = stream.codec_context.frame_size or 1024
        while (frame := fifo.read(size, partial=True)) is not None:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_old_film(path: Path) -> Path:
    """MPEG-2 in a programme stream, which no browser plays."""
    import av

    with av.open(str(path), "w", format="mpeg") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(30):
            image = np.full((48, 64, 3), small_run.COLOURS["red light"], np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_sound_is_played_and_answered(tab: Tab, page: Page, tmp_path: Path, kind: str) -> None:
    sound = write_sound(tmp_path / f"hum.{kind}", SOUNDS[kind])
    tab.ask(sound)
    wanted = page.recognizer.predict(sound)[0]
    assert [row[0] for row in tab.rows()][:5] == [c.name for c in wanted.ranked]
    assert "answered from the sound alone" in tab.tab.inner_text(".details")
    tab.tab.wait_for_selector(".player.sounds video")
    assert tab.tab.evaluate("document.querySelector('.player video').duration") > 1.5
    assert not tab.tab.is_visible(".player .remark")
    assert not tab.tab.query_selector(".details .remark"), "it has no picture to miss"
    assert tab.tab.get_attribute(".player video", "aria-label") == f"the clip hum.{kind}"
    assert tab.errors == []


def test_what_the_browser_cannot_play_is_a_remark_beside_its_answer(
    tab: Tab, page: Page, tmp_path: Path
) -> None:
    film = write_old_film(tmp_path / "old.mpg")
    tab.ask(film)
    tab.tab.wait_for_selector(".player.unplayed")
    assert tab.tab.inner_text(".player") == (
        "Your browser cannot play this file. It is read all the same."
    )
    assert tab.rows()[0][0] == page.recognizer.predict(film)[0].best.name
    assert not tab.tab.query_selector(".details .message")
    assert len(tab.tab.query_selector_all(".frames img")) == 8, "its pictures are shown"


@pytest.mark.parametrize("tab", [390], indirect=True)
def test_on_a_phone_the_answer_comes_into_view(tab: Tab, run_folder: Path) -> None:
    where = "document.querySelector('#table-title').getBoundingClientRect().top"
    assert tab.tab.evaluate(where) > 600
    tab.ask(run_folder.parent / "clip.mp4")
    tab.tab.wait_for_function(
        "() => { const r = document.querySelector('tr.clip').getBoundingClientRect();"
        " return r.top >= 0 && r.top + 100 < innerHeight; }"
    )
    assert tab.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_everything_is_reached_with_the_keyboard_and_has_a_name(tab: Tab, run_folder: Path) -> None:
    tab.ask(run_folder.parent / "clip.mp4")
    tab.tab.click(".why")
    tab.tab.wait_for_selector(".cell")
    wanted = {"names", "ask", "reset", "files", "folder", "camera", "sort", "save-table"}
    wanted |= {"open", "its-name", "away", "is-it", "example", "save-recogniser"}
    tab.give([run_folder.parent / "clip.mp4"])  # so that there is something to sort
    reached: set[str] = set()
    tab.tab.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(60):
        tab.tab.keyboard.press("Tab")
        reached |= set(
            tab.tab.evaluate(
                "(() => { const ids = []; let e = document.activeElement;"
                " for (; e; e = e.parentElement) ids.push(e.id, ...e.classList); return ids; })()"
            )
        )
    assert wanted <= reached
    nameless = tab.tab.evaluate(
        "[...document.querySelectorAll('button, input, textarea, select, a, video')]"
        ".filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.title ||"
        " e.innerText.trim() || (e.labels && e.labels.length) || e.closest('label')))"
        ".map(e => e.outerHTML.slice(0, 200))"
    )
    assert nameless == []
    assert tab.tab.evaluate("[...document.images].every(e => e.alt || e.closest('button'))")
    assert tab.tab.evaluate("document.documentElement.lang") == "en"


def _rgb(css: str) -> np.ndarray:
    return np.array([float(v) for v in re.findall(r"[\d.]+", css)[:3]]) / 255


def _linear(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """WCAG 2.1: relative luminances, (L1 + 0.05) / (L2 + 0.05)."""
    high, low = sorted(
        (float(_linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other)), reverse=True
    )
    return (high + 0.05) / (low + 0.05)


DICHROMATS = {
    # Viénot, Brettel & Mollon (1999) for red and green; linear RGB to linear RGB.
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    "none": np.eye(3).tolist(),
}


def lab(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear sRGB."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


PROBE = """
(() => {
  const box = document.body;
  const style = (html, what) => {
    const made = document.createElement('div');
    made.innerHTML = html;
    box.append(made);
    const found = getComputedStyle(made.querySelector('b'))[what];
    made.remove();
    return found;
  };
  const found = {page: getComputedStyle(document.body).backgroundColor};
  for (const kind of ['seen', 'unseen', 'new', 'taught']) {
    found[kind] = style(`<b class="chip ${kind}">x</b>`, 'backgroundColor');
    found[kind + ' text'] = style(`<b class="chip ${kind}">x</b>`, 'color');
    found[kind + ' bar'] = style(`<i class="${kind}"><b class="fill"></b></i>`,
                                 'backgroundColor');
  }
  for (const side of ['for', 'against'])
    found[side] = style(`<b class="${side}"></b>`, 'backgroundColor');
  found.message = style('<b class="message">x</b>', 'borderLeftColor');
  found.legend = style('<b class="legend">x</b>', 'color');
  return found;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_legible_and_apart_for_the_colour_blind(
    browser: Any, page: Page, scheme: str
) -> None:
    tab = Tab.open(browser, page.address, color_scheme=scheme).tab
    found = {name: _rgb(css) for name, css in tab.evaluate(PROBE).items()}
    tab.close()
    assert (found["page"].mean() > 0.5) == (scheme == "light")
    for kind in get_args(Kind):
        assert np.array_equal(found[kind], found[f"{kind} bar"]), "a chip has its bar's colour"
        assert contrast(found[kind], found[f"{kind} text"]) >= 4.5, kind
    assert contrast(found["legend"], found["page"]) >= 4.5
    assert np.array_equal(found["message"], found["unseen"]), "its border has the colour of a note"
    marks = (*get_args(Kind), "for", "against")
    for mark in marks:
        assert contrast(found[mark], found["page"]) >= 3, mark
    for one, other in itertools.combinations(marks, 2):
        for eye, matrix in DICHROMATS.items():
            seen = [lab(np.array(matrix) @ _linear(found[mark])) for mark in (one, other)]
            assert np.linalg.norm(seen[0] - seen[1]) > 15, (one, other, eye)


def test_without_a_run_names_are_typed_and_the_example_is_right(
    browser: Any, frozen_page: str
) -> None:
    tab = Tab.open(browser, frozen_page)
    said = tab.tab.inner_text("header")
    assert "Nothing trained" in said
    assert "no percentages: they are uncalibrated" in said
    assert "Sound is not used" in said
    assert not tab.tab.is_visible("#reset"), "there are no classes of a run"
    tab.tab.click(".example")
    tab.tab.wait_for_selector(".ranked")
    assert tab.rows()[0][0] == "a wall clock"  # which the clip was drawn as
    assert "No percentages: they are uncalibrated" in tab.tab.inner_text(".details")

    tab.name("a dog\nthe thing on the wall: an analog clock\n🙂🙂\n猫猫")
    tab.tab.click("#ask")
    tab.tab.wait_for_function("() => document.querySelector('.ranked').innerText.includes('thing')")
    assert tab.rows()[0][:2] == ["the thing on the wall", "new"]
    notes = " ".join(one.inner_text() for one in tab.tab.query_selector_all(".details .note"))
    assert "🙂🙂" in notes, "a name that the text encoder cannot read is told"
    assert tab.errors == []
    tab.tab.close()
