"""Whether a finished run is the one that is asked for, by whichever version of ezav."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ezav.errors import EzavError
from ezav.methods import registry
from ezav.methods.base import Method
from ezav.methods.common.config_check import parse
from ezav.protocol.result import RunResult
from ezav.protocol.settings import parse_config, plain_config
from ezav.training.config import TrainingConfig

if TYPE_CHECKING:
    from ezav.features.store import FeatureStore
    from ezav.protocol.two_stage import TwoStageProtocol


def completed(result: RunResult) -> RunResult:
    """A result of any version of ezav, with the settings that came later at their defaults.

    A new setting's default is what was done before there was one, so the run is the same and
    stands in one row with those of this version. What this version cannot read (settings of a
    later one, or of a method of one's own) stays as it is.

    Example:
        >>> from ezav.protocol import read_result
        >>> result = read_result(runs / "ez-0")
        >>> earlier = result.model_copy(update={"config": {}})  # before there were such settings
        >>> completed(earlier).config["heads"]
        8
    """
    config = result.config
    if result.method in registry.names():
        config = _config(registry.get(result.method), config)
    return result.model_copy(update={"config": config, "training": _training(result.training)})


def _config(method: type[Method], stored: dict[str, Any]) -> dict[str, Any]:
    try:
        return plain_config(parse_config(method, stored))
    except EzavError:
        return stored


def _training(stored: dict[str, Any]) -> dict[str, Any]:
    try:
        return asdict(parse(TrainingConfig, stored, "training"))
    except EzavError:
        return stored


def _asked_config(
    protocol: TwoStageProtocol, result: RunResult, there: dict[str, Any]
) -> dict[str, Any]:
    """What is asked for; where validation chose the class embeddings, the alternative it took."""
    recipe = getattr(protocol.config, "classes", None)
    if recipe is not None and recipe.source == "auto" and result.classes_tried:
        for one in recipe.alternatives():
            asked = plain_config(replace(protocol.config, classes=one))
            if asked == there:
                return asked
    return plain_config(protocol.config)


def difference(
    result: RunResult, protocol: TwoStageProtocol, store: FeatureStore, label: str
) -> str:
    """In what a run differs from what a protocol has on a store; empty: in nothing.

    The version of ezav is none of it: a run whose files can be read and whose settings are those
    asked for is the run asked for. Which version made it stays in its `versions`.

    Args:
        result: of the run, from :func:`ezav.protocol.run_folder.read_result`.
        protocol, store: what is asked for.
        label: as for :func:`ezav.protocol.run_folder.write_run`.

    Example:
        >>> from ezav.protocol import TwoStageProtocol, read_result
        >>> asked = TwoStageProtocol(method="ez_avgzl", seed=1)
        >>> difference(read_result(runs / "ez-0"), asked, store, label="")
        'seed, feature store, text encoder, training settings, config'
    """
    from ezav.features.describe import descriptions_in

    method = registry.get(protocol.method, import_code=True)  # named by who made the protocol
    config = _config(method, result.config) if result.method == protocol.method else {}
    told = {
        "method": (result.method, protocol.method),
        "seed": (result.seed, protocol.seed),
        "feature store": (result.store_fingerprint, store.fingerprint),
        "text encoder": (
            result.class_embeddings.get("encoder"),
            protocol.text_encoder or store.encoders[0],
        ),
        "label": (result.label, label or protocol.method),
        "training settings": (_training(result.training), asdict(protocol.training)),
        "config": (config, _asked_config(protocol, result, config)),
        "descriptions": (
            descriptions_in(result.class_embeddings),
            descriptions_in(store.class_embeddings(protocol.text_encoder).settings),
        ),
        "gate": (result.gate, protocol.gate),
        "class folds": (bool(result.folds), protocol.folds_on(store) > 0),
    }
    return ", ".join(name for name, (there, asked) in told.items() if there != asked)
