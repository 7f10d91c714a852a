"""What the files of a run folder are called. Light: whoever only looks for a run imports this."""

RESULT = "result.json"
"""Holds the :class:`ezav.protocol.result.RunResult`; a folder with it is a run."""
HEADER = "store.json"
"""Header of the feature store that the run was trained on."""
CALIBRATION = "calibration.json"
"""How scores become probabilities (:class:`ezav.protocol.calibration.Calibration`)."""
