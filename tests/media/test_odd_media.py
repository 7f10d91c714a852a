"""Every odd file ends as a correct clip or a recorded reason, with the counts its README gives."""

from __future__ import annotations

import numpy as np
import pytest

from ezav.media import FrameSpec, read_clip
from ezav.media.container import open_source
from ezav.media.scan import scan
from tests.shared_data import shared

EVERY = FrameSpec.every()
NO_SOUND, NO_PICTURE = "no audio stream", "no video stream"

# name -> (frames or reason, seconds of sound or reason)
WHOLE: dict[str, tuple[int | str, float | str]] = {
    "plain.mp4": (50, 2.0),
    "no_audio.mp4": (50, NO_SOUND),
    "audio_only.mp4": (NO_PICTURE, 2.0),
    "vfr.mp4": (18, 2.0),
    "rotated_90_tag.mp4": (50, 2.0),
    "mono_8k.mp4": (50, 2.0),
    "surround_5_1.mp4": (50, 2.0),
    "two_audio_streams.mp4": (50, 2.0),
    "torchcodec__nasa_13013.mp4": (325, 13.05),
    "silent_audio.mp4": (50, 2.0),
    "audio_shorter_0.5s_of_2s.mp4": (50, 0.5),
    "audio_starts_late_1s.mp4": (50, 1.0),
    "very_short_50ms.mp4": (2, 0.07),
    "-video-with-dash-.mp4": (5, NO_SOUND),
    'it\'s "odd" & ünïcode 猫.mp4': (50, 2.0),
    "UPPER.MP4": (50, 2.0),
    "non_utf8_tags.mp4": (50, 2.0),
    "non_utf8_tags.wav": (NO_PICTURE, 1.0),
    "cover_art.mp3": (NO_PICTURE, 2.0),
    "cover_art.mp4": (50, 2.0),
    "no_duration.webm": (50, 2.0),
    "mpeg2_starts_at_1.4s.ts": (50, 2.0),
    "odd_size_161x121_444.mp4": (50, 2.0),
    "torchcodec__h264_10bits.mp4": (30, NO_SOUND),
    "mp4parse__tiny_av1.mp4": (1, NO_SOUND),
    "mp4parse__hevc_white_frame.mp4": (1, NO_SOUND),
}
# name -> (frames, least seconds of sound, a word of the warning)
DAMAGED = {
    "truncated_faststart.mp4": (6, 0.25, "sound truncated: 0.26 s of 2 s"),
    "corrupt_middle.mp4": (14, 0.53, "picture truncated: 0.56 s of 2 s"),
}
# name -> words of the reason
NOTHING = {
    "zero_bytes.mp4": "empty file",
    "text_named.mp4": "not a media file",
    "truncated_no_moov.mp4": "cannot be opened: the index (moov) is missing",
    "index_only_claims_60s.mp4": "0 frames and 0 samples decoded of 60 s claimed",
    "mp4parse__bipbop_nonfragment_header.mp4": "0 frames and 0 samples decoded",
    "mp4parse__short-cenc.mp4": "encrypted",
    # Every key frame of it is incomplete: nothing but smears could be shown.
    "mp4parse__no_timescale.mp4": "0 frames decoded of 6.04 s claimed; no audio stream; picture",
}


def test_every_file_is_expected() -> None:
    folder = shared("data", "odd_media")
    names = {path.name for path in folder.iterdir() if path.suffix != ".md"}
    assert names == set(WHOLE) | set(DAMAGED) | set(NOTHING)


@pytest.mark.parametrize("name", WHOLE)
def test_whole(name: str) -> None:
    clip = read_clip(shared("data", "odd_media", name), video=EVERY, audio=16_000)
    frames, sound = WHOLE[name]
    assert clip.status == "ok"
    assert clip.warnings == ()
    if isinstance(frames, str):
        assert (clip.frames, clip.video_missing) == (None, frames)
    else:
        assert clip.frames is not None
        assert (len(clip.frames), clip.video_missing) == (frames, "")
        assert clip.frames_decoded == frames
        assert clip.frames.times[0] < 0.05
        assert (clip.frames.times[1:] > clip.frames.times[:-1]).all()
    if isinstance(sound, str):
        assert (clip.waveform, clip.audio_missing) == (None, sound)
    else:
        assert clip.waveform is not None
        assert clip.audio_missing == ""
        assert sound - 1e-3 <= clip.waveform.duration <= sound + 0.06


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(name: str) -> None:
    clip = read_clip(shared("data", "odd_media", name), video=EVERY, audio=16_000)
    frames, sound, warning = DAMAGED[name]
    assert clip.frames is not None
    assert clip.waveform is not None
    assert (clip.status, clip.truncated, len(clip.frames)) == ("damaged", True, frames)
    assert clip.waveform.duration >= sound
    assert warning in clip.reason


@pytest.mark.parametrize("name", NOTHING)
def test_nothing(name: str) -> None:
    clip = read_clip(shared("data", "odd_media", name), video=EVERY, audio=16_000)
    assert (clip.status, clip.video, clip.audio, clip.duration) == ("failed", {}, {}, 0.0)
    assert NOTHING[name] in clip.reason


def test_frames_of_a_damaged_file_are_chosen_from_what_there_is() -> None:
    path = shared("data", "odd_media", "corrupt_middle.mp4")
    frames = read_clip(path, video=FrameSpec.uniform(7), audio=None).frames
    assert frames is not None
    assert frames.times == pytest.approx(0.04 + 0.08 * np.arange(7))
    assert len(np.unique(frames.images.reshape(7, -1), axis=0)) == 7


def test_times_are_counted_from_the_first() -> None:
    clip = read_clip(shared("data", "odd_media", "mpeg2_starts_at_1.4s.ts"))
    assert clip.duration == pytest.approx(2.01, abs=0.01)
    assert clip.frames is not None
    assert 0.1 < clip.frames.times[0] < 0.2


def test_a_file_that_claims_seconds_is_not_believed() -> None:
    path = shared("data", "odd_media", "index_only_claims_60s.mp4")
    with open_source(path) as source:
        assert source.claimed == 60.0
        assert scan(source)["video"].length == 0


def test_shown_upright() -> None:
    clip = read_clip(shared("data", "odd_media", "rotated_90_tag.mp4"), audio=None)
    assert clip.frames is not None
    assert clip.frames.images.shape == (8, 160, 120, 3)
    plain = read_clip(shared("data", "odd_media", "plain.mp4"), audio=None)
    assert plain.frames is not None
    # The display matrix says a quarter turn to the left.
    turned = plain.frames.images[:, :, ::-1].swapaxes(1, 2)
    assert abs(turned.astype(int) - clip.frames.images).mean() < 1.0


def test_the_default_sound_is_taken() -> None:
    from tests.media.files import loudest

    path = shared("data", "odd_media", "two_audio_streams.mp4")
    clip = read_clip(path, video=None, audio=16_000)
    assert clip.waveform is not None
    assert abs(loudest(clip.waveform.samples, 16_000) - 440) < 2


def test_late_sound_keeps_its_time() -> None:
    clip = read_clip(shared("data", "odd_media", "audio_starts_late_1s.mp4"))
    assert clip.waveform is not None
    assert abs(clip.waveform.start - 1.0) < 0.05
    assert clip.frames is not None
    assert clip.frames.times[0] == pytest.approx(0.125)


def test_silence_is_present() -> None:
    clip = read_clip(shared("data", "odd_media", "silent_audio.mp4"))
    assert clip.waveform is not None
    assert clip.audio_missing == ""
    assert abs(clip.waveform.samples).max() < 1e-3


def test_real_clips_are_whole() -> None:
    folder = shared("data", "real", "clips")
    for path in sorted(folder.glob("*/*.mp4"))[::10]:
        clip = read_clip(path, video=FrameSpec.uniform(4, short_side=32), audio=8_000)
        assert (clip.status, clip.warnings) == ("ok", ())
        assert clip.frames is not None
        assert clip.waveform is not None
        assert abs(clip.waveform.duration - clip.duration) < 0.1
