"""Importers of the published feature layouts: AVCA, TCaF, ClipClap.

Example:
    >>> from ezav.features.importers import import_features
"""

from ezav.features.importers.importer import ImportReport, import_features

__all__ = ["ImportReport", "import_features"]
