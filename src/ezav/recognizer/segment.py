"""Which class a recording shows at each moment, when a change of class must be worth it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

_LOOK = 16
"""Moments between two looks at what is decided."""
_MOST_UNDECIDED = 480
"""Moments after which the likeliest past is taken as it is, so that memory stays flat."""


class Segmenter:
    """The best path through the states, moment by moment: maximises

        Σ_t emission[t, state_t] - cost · (number of changes)

    (Viterbi with equal costs between all states.) A state is given as soon as every best path
    agrees on it; until then at most `most` moments wait.

    Args:
        cost: of one change of state, in units of the emissions (log probabilities).
        look: moments between two looks at what is decided.
        most: moments that wait at most.

    Example:
        >>> noisy = torch.tensor([[3.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 3.0], [0.0, 3.0]])
        >>> path = Segmenter(cost=2.0)
        >>> [state for row in noisy for state in path.add(row)] + list(path.finish())
        [0, 0, 0, 1, 1]
    """

    def __init__(self, cost: float, look: int = _LOOK, most: int = _MOST_UNDECIDED) -> None:
        self._cost, self._look, self._most = cost, look, most
        self._best: Tensor | None = None
        self._back: deque[Tensor] = deque()
        """For each waiting moment after the first: the state before, for each state."""
        self._since = 0

    def add(self, emission: Tensor) -> Iterator[int]:
        """One more moment, log probabilities `[S]`; gives the states that are now decided."""
        if self._best is None:
            self._best = emission.clone()
            return
        top = self._best.argmax()
        change = self._best[top] - self._cost
        stays = self._best >= change
        states = torch.arange(len(emission))
        self._back.append(torch.where(stays, states, top).to(torch.int32))
        self._best = torch.where(stays, self._best, change) + emission
        # Only differences matter; this keeps the sums small in a recording of hours.
        self._best -= self._best.max()
        self._since += 1
        if self._since >= self._look:
            self._since = 0
            yield from self._decided()

    def finish(self) -> Iterator[int]:
        """No more moments: the states of all that wait."""
        if self._best is None:
            return
        path = self._trace(int(self._best.argmax()), len(self._back))
        self._best, self._back, self._since = None, deque(), 0
        yield from path

    def _decided(self) -> Iterator[int]:
        """States on which all best paths agree, oldest first; they need not be kept."""
        assert self._best is not None
        states = torch.arange(len(self._best))
        # What they share at the first waiting moment alone decides nothing more.
        for number in range(len(self._back), 1, -1):
            states = torch.unique(self._back[number - 1].long()[states])
            if len(states) == 1:
                # One ancestor at moment number - 1: all before it is decided, too.
                yield from self._give(self._trace(int(states), number - 1))
                return
        if len(self._back) >= self._most:
            half = len(self._back) // 2
            path = self._trace(int(self._best.argmax()), len(self._back))
            yield from self._give(path[:half])

    def _give(self, path: list[int]) -> Iterator[int]:
        # The last decided moment stays as the first that waits: it is the root of the rest.
        for state in path[:-1]:
            self._back.popleft()
            yield state

    def _trace(self, state: int, moment: int) -> list[int]:
        """The states up to and with `moment`, which has `state`."""
        path = [state]
        for number in range(moment - 1, -1, -1):
            state = int(self._back[number][state])
            path.append(state)
        return path[::-1]
