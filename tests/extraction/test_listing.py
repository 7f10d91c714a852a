"""What counts as a clip, and one clear line for every listing that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ezav.errors import EzavError
from ezav.extraction import list_videos
from ezav.extraction.listing import Item
from ezav.extraction.parts import Shard


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def manifest(folder: Path, text: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_class_folders(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "dog/a.mp4",
        "dog/B.MOV",
        "dog/takes/c.webm",
        "dog/notes.txt",
        "dog/a.JPG",
        "dog/.DS_Store",
        "cat/noextension",
        "manifest.csv",
        ".git/x.mp4",
    )
    (tmp_path / "dog" / "folder.mp4").mkdir()
    (tmp_path / "dog" / "gone.mp4").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    listing = list_videos(tmp_path)
    assert listing.empty == ("empty",)
    assert [(item.clip, item.class_name) for item in listing.items] == [
        ("cat/noextension", "cat"),
        ("dog/B.MOV", "dog"),
        ("dog/a.mp4", "dog"),
        ("dog/folder.mp4", "dog"),
        ("dog/gone.mp4", "dog"),
        ("dog/takes/c.webm", "dog"),
    ]
    assert listing.classes == ("cat", "dog")
    assert listing.passed_over == {".txt": 1, ".jpg": 1}
    assert listing.name == tmp_path.name


def test_a_store_among_the_videos_makes_no_class(tmp_path: Path) -> None:
    touch(tmp_path, "dog/a.mp4", "cat/b.mp4")
    clips = list_videos(tmp_path).items
    touch(
        tmp_path,
        "store/header.json",
        "store/index.parquet",
        "store/shards/00000.safetensors",
        "store/shards/00001.journal",
        "store/classes/minilm.safetensors",
        "stores.parts/1-of-2/header.json",
        "run/config.yaml",
        "run/metrics.jsonl",
        "run/weights.safetensors",
    )
    listing = list_videos(tmp_path)
    assert listing.items == clips
    assert listing.empty == ("run", "store", "stores.parts")


def test_names_in_any_alphabet(tmp_path: Path) -> None:
    touch(tmp_path, "cafe\u0301 bar/x.mp4", '狗/it\'s "odd".mp4')
    assert list_videos(tmp_path).classes == ("café bar", "狗")
    raw = os.fsencode(tmp_path / "狗") + b"/\xff.mp4"
    with open(raw, "wb"):
        pass
    listing = list_videos(tmp_path)
    (odd,) = [item for item in listing.items if "xff" in item.clip]
    assert odd.clip == "狗/\\xff.mp4"
    assert odd.path.exists()


def test_manifest(tmp_path: Path) -> None:
    path = manifest(
        tmp_path, '\ufeffPath,Class,Split\n./b/x.mp4,dog,train\n"a,b.mp4", cat ,train\n'
    )
    listing = list_videos(path)
    assert [(i.clip, i.class_name, i.split) for i in listing.items] == [
        ("a,b.mp4", "cat", "train"),
        ("b/x.mp4", "dog", "train"),
    ]
    assert listing.items[1].path == tmp_path / "b" / "x.mp4"
    tabs = manifest(tmp_path, "path\tclass\nx.mp4\tdog\n", "m.tsv")
    assert list_videos(tabs).items[0].split is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not begin with the columns path,class"),
        ("file,label\nx.mp4,dog\n", "does not begin with the columns path,class"),
        ("path,class\n", "lists no clips"),
        ("path,class\n,dog\n", "line 2 .* has an empty path"),
        ("path,class\nx.mp4,\n", "line 2 .* has an empty class name"),
        ("path,class\nx.mp4,  \n", "line 2 .* has an empty class name"),
        ("path,class\nx.mp4,dog\nb/../x.mp4,dog\n", "lists 'x.mp4' 2 times"),
        ("path,class,split\nx.mp4,dog,test\n", "unknown split 'test'; the splits are train"),
        ("path,class,split\nx.mp4,dog,train\ny.mp4,dog,\n", "gives 'y.mp4' no split"),
        ("path,class\nx\0.mp4,dog\n", "line 2 .* has a path that no file can have"),
        ("path,class\n/etc/passwd,dog\n", "line 2 .* leads out of the manifest's folder"),
        ("path,class\na/../../x.mp4,dog\n", "line 2 .* leads out of the manifest's folder"),
        ("path,class\nx.mp4,dog,train,more\n", "line 2 .* has too many columns"),
        ("path,class\nx.mp4,Dog\ny.mp4,dog\n", "'Dog' and 'dog' are two names of one class"),
        ("path,class\nx.mp4,sea_waves\ny.mp4,sea waves\n", "two names of one class"),
    ],
)
def test_wrong_manifests(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(EzavError, match=words) as caught:
        list_videos(manifest(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_outside_only_when_allowed(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,class\n../x.mp4,dog\n/data/y.mp4,dog\n")
    listing = list_videos(path, allow_outside=True)
    assert [item.clip for item in listing.items] == ["../x.mp4", "/data/y.mp4"]
    assert listing.items[1].path == Path("/data/y.mp4")


def test_folders_whose_names_are_not_in_utf8(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9"
    os.makedirs(raw + b"/dog")
    with open(raw + b"/dog/x.mp4", "wb"):
        pass
    assert list_videos(os.fsdecode(raw)).name == "caf\\xe9"
    os.rename(raw + b"/dog", raw + b"/h\xe9ron")
    with pytest.raises(EzavError, match=r"class folder 'h\\xe9ron' is not in UTF-8; rename it"):
        list_videos(os.fsdecode(raw))


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(EzavError, match="there is no folder or manifest"):
        list_videos(tmp_path / "none")
    with pytest.raises(EzavError, match="has no class folders"):
        list_videos(touch(tmp_path / "flat", "a.mp4"))
    (tmp_path / "bare" / "dog").mkdir(parents=True)
    with pytest.raises(EzavError, match="hold no clips"):
        list_videos(tmp_path / "bare")
    with pytest.raises(EzavError, match="empty class name"):
        list_videos(touch(tmp_path / "blank", "  /a.mp4"))
    with pytest.raises(EzavError, match="two names of one class"):
        list_videos(touch(tmp_path / "twins", "dog/a.mp4", "Dog/a.mp4"))
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"path,class\n\xff\xfe,dog\n")
    with pytest.raises(EzavError, match="not a CSV file in UTF-8"):
        list_videos(binary)


def test_shards_share_the_clips_out() -> None:
    items = tuple(Item(f"dog/{n}.mp4", Path(), "dog") for n in range(1000))
    parts = [Shard(n, 5).of(items) for n in range(1, 6)]
    assert sorted(item.clip for part in parts for item in part) == sorted(i.clip for i in items)
    assert all(150 < len(part) < 250 for part in parts)
    # A clip more, the first of all, changes the part that gets it and no other.
    more = (Item("a.mp4", Path(), "dog"), *items)
    grown = [Shard(n, 5).of(more) for n in range(1, 6)]
    assert sum(part == before for part, before in zip(grown, parts)) == 4
    for text in ("0/4", "5/4", "1", "a/b", "1/0", "-1/4"):
        with pytest.raises(EzavError, match="shard"):
            Shard.parse(text)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("path,class\na.mp4,dog barking\nb.mp4,dog\u200b barking\n", ("dog barking",)),
        ("path,class\na.mp4,dog\n\ufeffb.mp4,\ufeffdog\n", ("dog",)),
        ("path,class\na.mp4,cafe\u0301\nb.mp4,caf\u00e9\n", ("café",)),
        ("path,class\na.mp4,dog\u00a0barking\nb.mp4,dog barking\n", ("dog barking",)),
        # Two files joined, each with its headline and byte order mark.
        ("path,class\na.mp4,dog\n\ufeffPath, Class \nb.mp4,cat\n", ("cat", "dog")),
        ("CLASS,Path\ndog,a.mp4\ncat,b.mp4\n", ("cat", "dog")),
        ("path;class\na.mp4;dog, small\nb.mp4;cat\n", ("cat", "dog, small")),
    ],
)
def test_manifests_as_spreadsheets_write_them(
    tmp_path: Path, text: str, classes: tuple[str, ...]
) -> None:
    listing = list_videos(manifest(tmp_path, text))
    assert listing.classes == classes
    assert [item.clip for item in listing.items] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("dog", "\uff44og", "FULLWIDTH LATIN SMALL LETTER D"),
        ("Dog", "dog", "two names of one class"),
        ("dog_barking", "dog barking", "two names of one class"),
    ],
)
def test_names_that_look_the_same_are_refused(
    tmp_path: Path, one: str, other: str, words: str
) -> None:
    with pytest.raises(EzavError, match=words):
        list_videos(touch(tmp_path, f"{one}/a.mp4", f"{other}/b.mp4"))


def test_the_reported_folders_are_one_class(tmp_path: Path) -> None:
    listing = list_videos(touch(tmp_path, "dog barking/a.mp4", "dog\u200b barking/b.mp4"))
    assert listing.classes == ("dog barking",)


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EzavError, match="2 columns 'class'"):
        list_videos(manifest(tmp_path, "path,class,Class\na.mp4,dog,cat\n"))
