"""Standard normal effects of units that last: partly for life, partly fading from wave to wave.

Belongs here: how such an effect is born, goes on and is passed to a new set of units. Does not belong here:
what an effect means (adoption, fieldwork).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LatentEffect:
    """Effects of n units, each standard normal in every wave.

    The value is sqrt(v) a + sqrt(1 - v) b_t with a for life and b_t = r b_{t-1} + sqrt(1 - r^2) e_t, so that
    two successive waves correlate by v + (1 - v) r.

    Attributes:
        permanent, fading: a and b_t, shape (n,) or (n, k).
        permanent_variance: v.
        persistence: r.
    """

    permanent: NDArray[np.float32]
    fading: NDArray[np.float32]
    permanent_variance: float
    persistence: float

    @classmethod
    def born(
        cls,
        shape: int | tuple[int, int],
        rng: np.random.Generator,
        *,
        permanent_variance: float,
        persistence: float = 0.0,
    ) -> Self:
        """Effects of units that enter."""
        return cls(
            permanent=rng.standard_normal(shape, dtype=np.float32),
            fading=rng.standard_normal(shape, dtype=np.float32),
            permanent_variance=permanent_variance,
            persistence=persistence,
        )

    @property
    def value(self) -> NDArray[np.float32]:
        """The effects, in the shape they were born in."""
        permanent = np.float32(np.sqrt(self.permanent_variance))
        fading = np.float32(np.sqrt(1.0 - self.permanent_variance))
        return permanent * self.permanent + fading * self.fading

    def next_wave(self, keep: NDArray[np.bool_], entrants: int, rng: np.random.Generator) -> Self:
        """One wave on: the units of `keep`, and after them `entrants` new ones."""
        shape = self.permanent.shape[1:]
        stayed = self.fading[keep]
        shock = rng.standard_normal(stayed.shape, dtype=np.float32)
        fresh = rng.standard_normal((2, entrants, *shape), dtype=np.float32)
        went_on = np.float32(self.persistence) * stayed + np.float32(np.sqrt(1.0 - self.persistence**2)) * shock
        return type(self)(
            permanent=np.concatenate([self.permanent[keep], fresh[0]]),
            fading=np.concatenate([went_on, fresh[1]]),
            permanent_variance=self.permanent_variance,
            persistence=self.persistence,
        )
