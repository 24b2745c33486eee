"""Random number streams by purpose, so that what one step draws never shifts what another draws.

Belongs here: how a seed, a purpose and a wave become a generator. Does not belong here: any draw.
"""

import zlib

import numpy as np


class Streams:
    """Generators of one seed: the same purpose and wave give the same draws, whatever else was drawn."""

    def __init__(self, seed: int) -> None:
        """Streams of `seed`."""
        self._seed = seed

    def of(self, purpose: str, wave: int = 0) -> np.random.Generator:
        """A fresh generator; `purpose` says what is drawn, `wave` 0 stands for what no wave changes."""
        key = (zlib.crc32(purpose.encode("ascii")), wave)
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=key))
