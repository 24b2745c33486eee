import numpy as np
import pytest

from pipelines.synthetic.latent import LatentEffect


@pytest.mark.parametrize(("variance", "persistence"), [(0.6, 0.7), (0.8, 0.0)])
def test_waves_correlate_as_the_formula_says(variance: float, persistence: float) -> None:
    rng = np.random.default_rng(3)
    count = 100_000
    now = LatentEffect.born(count, rng, permanent_variance=variance, persistence=persistence)
    everyone = np.ones(count, dtype=bool)
    next_wave = now.next_wave(everyone, 0, rng)
    third = next_wave.next_wave(everyone, 0, rng)
    # Standard error of a correlation of 100,000 pairs: below 0.003.
    assert now.value.std() == pytest.approx(1.0, abs=0.01)
    assert third.value.std() == pytest.approx(1.0, abs=0.01)
    one_wave = variance + (1 - variance) * persistence
    two_waves = variance + (1 - variance) * persistence**2
    assert np.corrcoef(now.value, next_wave.value)[0, 1] == pytest.approx(one_wave, abs=0.012)
    assert np.corrcoef(now.value, third.value)[0, 1] == pytest.approx(two_waves, abs=0.012)


def test_stayers_keep_their_permanent_part_and_entrants_follow() -> None:
    rng = np.random.default_rng(4)
    effect = LatentEffect.born((5, 3), rng, permanent_variance=0.5)
    keep = np.array([True, False, True, True, False])
    following = effect.next_wave(keep, 2, rng)
    assert following.value.shape == (5, 3)
    np.testing.assert_array_equal(following.permanent[:3], effect.permanent[keep])
