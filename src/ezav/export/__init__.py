"""A recogniser's scores as one graph, for ONNX Runtime and `torch.export`."""

from ezav.export.export import Exported, Parity, export

__all__ = ["Exported", "Parity", "export"]
