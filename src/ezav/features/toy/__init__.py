"""The toy world: generated clips of moving, sounding shapes, for the demo and the tests.

Example:
    >>> from ezav.features.toy import ToyWorld, generate_toy_world
"""

from ezav.features.toy.generate import ToyWorld, generate_toy_world

__all__ = ["ToyWorld", "generate_toy_world"]
