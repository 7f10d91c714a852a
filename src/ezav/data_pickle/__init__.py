"""Pickles and `.npy` files read as data: an interpreter of its own, which can call nothing.

Python's unpickler calls what a file names, and what a file may make it allocate has no bound.
This one knows the opcodes that arrays, numbers, text and plain containers need, builds them
itself, and measures what it builds against the size of the file.
"""

from ezav.data_pickle.arrays import Maker
from ezav.data_pickle.read import load_data_npy, load_data_pickle

__all__ = ["Maker", "load_data_npy", "load_data_pickle"]
