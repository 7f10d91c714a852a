"""A recogniser's scores as one graph, for ONNX Runtime and `torch.export`."""

from ezav.export.export import Exported, export
from ezav.export.parity import Parity

__all__ = ["Exported", "Parity", "export"]
