"""What is closed at the end of a `with` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Something with a `close` that a `with` block calls, however it ends.

    Example:
        >>> class Door(Closing):
        ...     def close(self):
        ...         print("shut")
        >>> with Door():
        ...     print("in")
        in
        shut
    """

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
