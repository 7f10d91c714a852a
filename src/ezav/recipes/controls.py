"""The frozen row beside a run: what the encoders know by name, on the same test clips."""

from __future__ import annotations

from dataclasses import replace

from ezav.features.store import FeatureStore
from ezav.methods import registry
from ezav.protocol.measure import Frozen
from ezav.protocol.two_stage import TwoStageProtocol
from ezav.recipes.frozen import frozen_settings
from ezav.recipes.settings import FROZEN_BASELINE, protocol_for


def frozen_row(protocol: TwoStageProtocol, store: FeatureStore) -> Frozen | None:
    """The test scores of the frozen baseline and its gamma, chosen as the protocol chooses its own.

    Args:
        protocol: of the run that shall be above it.
        store: what that is tested on.

    Returns:
        None where the encoders share no space with the text, and for a run that is a frozen row.

    Example:
        >>> print(frozen_row(protocol_for("eszsl", store), store))  # random vectors know no names
        None
    """
    if registry.get(protocol.method, import_code=True).baseline:
        return None
    if frozen_settings(store, protocol.text_encoder) is None:
        return None
    frozen = protocol_for(
        FROZEN_BASELINE,
        store,
        device=protocol.device,
        text_encoder=protocol.text_encoder,
        features=protocol.features,
    )
    fitted = replace(frozen, folds=protocol.folds).fit(store, calibrate=False)
    return fitted.test(), fitted.gamma_
