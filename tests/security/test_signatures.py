"""Promise: with a public key, what somebody else made, changed or added is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ezav.cli.main import main
from ezav.errors import EzavError, RefusedError
from ezav.features import FeatureStore
from ezav.manifest import MANIFEST, SIGNATURE, write_manifest
from ezav.protocol.run_folder import write_run
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recognizer import Recognizer
from ezav.signing import fingerprint, new_key, require_signature, sign
from ezav.training.config import TrainingConfig
from tests import worlds


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, two runs on it, all signed, and two keys."""
    folder = tmp_path_factory.mktemp("made")
    store = worlds.store(folder / "store")
    for name in ("mine", "other"):
        new_key(folder / name)
    for seed in (0, 1):
        training = TrainingConfig(epochs=1)
        protocol = TwoStageProtocol(method="devise", training=training, seed=seed)
        write_run(protocol.fit(store), folder / f"run-{seed}")
    for name in ("store", "run-0", "run-1"):
        sign(folder / name, folder / "mine")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "here"))


def _flip(name: str) -> Callable[[Path], None]:
    def change(here: Path) -> None:
        path = here / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))

    return change


def _recompute(folder: Path) -> None:
    """As an attacker does who has no key, but leaves the old signature."""
    signature = (folder / SIGNATURE).read_bytes()
    write_manifest(folder)
    (folder / SIGNATURE).write_bytes(signature)


def _changed_with_a_new_manifest(here: Path) -> None:
    result = json.loads((here / "run-0/result.json").read_text())
    result["gamma"] += 0.5
    (here / "run-0/result.json").write_text(json.dumps(result))
    _recompute(here / "run-0")


def _of_another_key(here: Path) -> None:
    sign(here / "run-0", here / "other")


def _from_another_run(here: Path) -> None:
    shutil.copy(here / "run-1" / SIGNATURE, here / "run-0")


def _manifest_and_signature_of_another_run(here: Path) -> None:
    for name in (SIGNATURE, MANIFEST):
        shutil.copy(here / "run-1" / name, here / "run-0")


def _added(here: Path) -> None:
    (here / "run-0/calibration.json").write_text("{}")  # is read in the scores' place


def _added_with_a_new_manifest(here: Path) -> None:
    _added(here)
    _recompute(here / "run-0")


def _a_linked_folder(here: Path) -> None:
    (here / "run-0/more").symlink_to("/")


def _unsigned(here: Path) -> None:
    (here / "run-0" / SIGNATURE).unlink()


def _no_manifest(here: Path) -> None:
    (here / "run-0" / MANIFEST).unlink()


ATTACKS = [
    *(_flip(f"run-0/{name}") for name in ("weights.safetensors", "result.json", "store.json")),
    _flip("run-0/config.yaml"),
    _flip(f"run-0/{MANIFEST}"),
    _flip(f"run-0/{SIGNATURE}"),
    _changed_with_a_new_manifest,
    _of_another_key,
    _from_another_run,
    _manifest_and_signature_of_another_run,
    _added,
    _added_with_a_new_manifest,
    _a_linked_folder,
    _unsigned,
    _no_manifest,
]


def test_what_was_signed_is_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public = here / "mine.pub"
    assert Recognizer.load(here / "run-0", require_signature=public).classes
    assert Recognizer.from_pretrained(here / "run-0", require_signature=public).classes
    assert FeatureStore.open(here / "store", require_signature=public).classes
    for name in ("run-0", "store"):
        assert main(["verify", str(here / name), "--require-signature", str(public)]) == 0
        assert f"all signed with {fingerprint(public)}" in capsys.readouterr().out
    (here / "run-0/test.safetensors").unlink()  # as in a download
    require_signature(here / "run-0", public)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
def test_what_was_not_is_refused(
    here: Path, attack: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    attack(here)
    public = str(here / "mine.pub")
    with pytest.raises(EzavError):
        Recognizer.load(here / "run-0", require_signature=public)
    capsys.readouterr()
    for arguments in (["verify"], ["inspect"]):
        assert main([*arguments, str(here / "run-0"), "--require-signature", public]) == 1
    told = capsys.readouterr()
    assert "refused" in told.out or "no manifest" in told.out
    assert len(told.err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["predict", "scan", "serve", "inspect", "export"])
def test_each_command_asks_before_it_reads(
    here: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run-0/store.json").write_text("no JSON: whoever reads it says so")
    rest = ["x.mp4"] if command in ("predict", "scan") else []
    rest += ["--out", str(here / "out")] if command == "export" else []
    public = ["--require-signature", str(here / "mine.pub")]
    assert main([command, str(here / "run-0"), *rest, *public]) == 1
    assert "not what was signed" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("name", ["shards/00000.safetensors", "index.parquet", "header.json"])
def test_a_store_is_signed_whole(here: Path, name: str) -> None:
    assert (here / "store" / name).is_file()
    _flip(f"store/{name}")(here)
    with pytest.raises(RefusedError, match="not what was"):
        FeatureStore.open(here / "store", require_signature=here / "mine.pub")
    with pytest.raises(EzavError, match="was changed after it was written"):
        sign(here / "store", here / "mine")


def test_openssl_agrees(here: Path) -> None:
    """Independent of ezav: the form of keys and signature, and what is signed."""
    told = ["-in", str(here / "run-0" / MANIFEST), "-rawin"]
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(here / "mine.pub"), *told]
    signature = here / "run-0" / SIGNATURE
    assert len(signature.read_bytes()) == 64
    assert subprocess.run([*verify, "-sigfile", signature], capture_output=True).returncode == 0
    key = here / "from-openssl"
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", key]
    subprocess.run(make, check=True, capture_output=True)
    public = subprocess.run(
        ["openssl", "pkey", "-in", key, "-pubout", "-out", f"{key}.pub"], capture_output=True
    )
    assert public.returncode == 0
    sign(here / "run-0", key)
    told_key = require_signature(here / "run-0", f"{key}.pub")
    raw = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", f"{key}.pub", "-outform", "DER"], capture_output=True
    ).stdout[-32:]
    assert told_key == f"SHA256:{hashlib.sha256(raw).hexdigest()}"


def test_keys_are_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = here / "keys/new"
    assert main(["sign", "--new-key", str(key)]) == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert main(["sign", str(here / "run-0"), "--key", str(key)]) == 0
    fingerprints = {line for line in capsys.readouterr().out.split() if "SHA256" in line}
    assert fingerprints == {fingerprint(f"{key}.pub")}
    before = key.read_bytes()
    assert main(["sign", "--new-key", str(key)]) == 1
    assert key.read_bytes() == before
    for wrong in (here / "mine.pub", here / "run-0/result.json", here / "no-such-key"):
        assert main(["sign", str(here / "run-0"), "--key", str(wrong)]) == 1
        with pytest.raises(EzavError):
            require_signature(here / "run-1", here / "mine" if wrong.suffix == ".pub" else wrong)
    assert main(["sign", str(here), "--key", str(key)]) == 1
    assert main(["predict", "--frozen", "x.mp4", "--require-signature", f"{key}.pub"]) == 1
    for line in capsys.readouterr().err.strip().splitlines():
        assert line.startswith("ezav ")


def test_what_changes_is_no_longer_signed(here: Path) -> None:
    Recognizer.load(here / "run-0").save_pretrained(here / "saved")
    sign(here / "saved", here / "mine")
    assert (here / "saved" / SIGNATURE).is_file()
    Recognizer.load(here / "run-1").save_pretrained(here / "saved")
    assert not (here / "saved" / SIGNATURE).exists()
