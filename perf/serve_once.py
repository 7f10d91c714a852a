"""The page of a run, begun, asked for everything that writes a file, and ended; for disk faults."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.web.asking import Visitor

from ezav.errors import EzavError
from ezav.recognizer import Recognizer
from ezav.web.server import serving
from ezav.web.settings import WebSettings

REFUSED = (422, 503, 507)


def serve_once(run: Path, clip: Path, folder: Path) -> int:
    """0 where everything was given; 1 where something was refused, which is printed in a line.

    Args:
        run: can be taught.
        clip: that is given to the page.
        folder: for temporary files.

    Raises:
        AssertionError: an answer is neither right nor a refusal, or the page is not given.
    """
    tempfile.tempdir = str(folder)
    table = "file,answer,correct\na.mp4,x,a new lamp\n"
    asked = [
        ("/api/names", "PUT", b"blue light\nred light"),
        ("/api/predict?name=a.mp4&class=a&class=b", "POST", clip.read_bytes()),
        ("/api/clips?name=a.mp4", "POST", clip.read_bytes()),
        ("/api/corrections", "POST", table),
        ("/api/clips/1/correct", "PUT", json.dumps({"name": "a new lamp"})),
        ("/api/teach", "POST", None),
        ("/api/recogniser.zip", "GET", None),
        ("/api/answers.csv", "GET", None),
        ("/api/examples/0", "GET", None),
    ]
    refused: list[str] = []
    try:
        with (
            Recognizer.load(run, import_code=True) as recognizer,
            serving(recognizer, WebSettings(port=0)) as address,
        ):
            visitor = Visitor(address.rstrip("/"))
            for path, method, body in asked:
                status, said = visitor.ask(path, method, body)
                assert status in (200, *REFUSED), f"{path}: {status} {said[-500:]!r}"
                assert str(folder).encode() not in said, f"{path} tells of places: {said[-500:]!r}"
                if status != 200:
                    refused.append(f"{path}: {status} {said.decode()}")
            assert visitor.ask("/")[0] == 200, "the page is not given any more"
    except (EzavError, OSError) as error:  # as the command line says them
        refused = [str(error)]
    finally:
        tempfile.tempdir = None
    if refused:
        print(f"ezav serve: {'; '.join(refused)}")
    return int(bool(refused))
