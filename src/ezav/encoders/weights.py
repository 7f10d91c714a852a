"""Networks written out in this package, with published weights from one local file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard
from ezav.encoders.identity import sha256_of
from ezav.encoders.loading import check_weights
from ezav.encoders.towers import Neural
from ezav.errors import DamagedError, UnavailableError

if TYPE_CHECKING:
    from torch import Tensor, nn


class FromFile(Neural):
    """A neural encoder whose `source` is one weight file; its card carries the file's hash."""

    path: Path

    def _open(
        self, card: EncoderCard, source: str | Path | None, revision: str | None
    ) -> EncoderCard:
        if source is None:
            raise UnavailableError(
                f"the encoder '{card.name}' needs its weight file",
                f"give the path of a file as `source`; see {card.source}",
            )
        self.path = Path(source).expanduser()
        return card.but(source=self.path.name, revision=revision or file_hash(self.path))

    def made_of(self) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """What the identity covers: the file, and how media is prepared for it."""
        return {"weights": sha256_of(self.path)}, self._prepared()

    def _prepared(self) -> Mapping[str, Any]:
        """The settings of the preprocessing."""
        raise RuntimeError(f"{type(self).__name__} does not define _prepared")


def file_hash(path: Path) -> str:
    """`sha256:…` of a file, shortened.

    Raises:
        EzavError: it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "weights").write_bytes(b"")
        ...     file_hash(Path(folder, "weights"))  # of nothing
        'sha256:e3b0c44298fc'
    """
    return f"sha256:{sha256_of(path)[:12]}"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from `.safetensors`, or from a torch file of plain tensors.

    A torch file is read with `weights_only=True`: anything but tensors is refused.

    Raises:
        EzavError: the file cannot be read, or holds other things than named tensors.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            _refuse_compressed(path)
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DamagedError(f"cannot read weights from '{path}': {first[:200]}") from error
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(hasattr(v, "shape") for v in found.values()):
        raise DamagedError(f"'{path}' does not hold named tensors", "give a state dictionary")
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}


def _refuse_compressed(path: Path) -> None:
    """A torch file is an archive; one with compressed parts may unpack without end."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise ValueError("its parts are compressed, as torch never writes them")


def fill(
    make: Callable[[], nn.Module], weights: Mapping[str, Tensor], path: str | Path, name: str
) -> Any:
    """A network with these weights, all of them and no other; frozen, in eval mode.

    Args:
        make: makes the network; nothing is drawn for it, so every tensor of it must be a weight.
        weights: by name; the network keeps these tensors themselves.
        path, name: of the file and of the network, for the message.

    Raises:
        EzavError: a weight is missing, unexpected or of another shape.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> weights = {"weight": torch.ones(1, 1), "bias": torch.zeros(1)}
        >>> net = fill(lambda: nn.Linear(1, 1), weights, "weights.pt", "a line")
        >>> net(torch.tensor([[2.0]])).tolist(), net.training
        ([[2.0]], False)
        >>> del weights["bias"]
        >>> fill(lambda: nn.Linear(1, 1), weights, "weights.pt", "a line")
        Traceback (most recent call last):
        ezav.errors.DamagedError: 'weights.pt' does not fit a line: missing weights bias; ...
    """
    import torch

    with torch.device("meta"):
        net = make()
    own = net.state_dict()
    check_weights(
        path,
        name,
        sorted(set(own) - set(weights)),
        sorted(set(weights) - set(own)),
        sorted(k for k in set(own) & set(weights) if own[k].shape != weights[k].shape),
    )
    typed = {key: weight.to(own[key].dtype) for key, weight in weights.items()}
    net.load_state_dict(typed, assign=True)
    return net.eval().requires_grad_(False)
