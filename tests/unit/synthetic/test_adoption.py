import numpy as np
import pytest

from pipelines.synthetic.adoption import (
    DEPLOYED,
    PILOT,
    PLANNED,
    Adoption,
    adopters,
    fields_in_operation,
    rates_at_level,
    technology_stages,
)
from pipelines.synthetic.parameters import Country


def test_rates_move_together_to_the_level() -> None:
    rates, sizes = np.array([0.1, 0.3, 0.6]), np.array([100.0, 50.0, 10.0])
    moved = rates_at_level(rates, sizes, 0.4)
    assert (sizes @ moved) / sizes.sum() == pytest.approx(0.4, abs=1e-9)
    odds = (moved / (1 - moved)) / (rates / (1 - rates))
    np.testing.assert_allclose(odds, odds[0])


def test_adopters_are_the_most_inclined_in_scope_of_each_group() -> None:
    inclination = np.array([0.1, 0.9, 0.5, 0.7, 2.0, 5.0, 4.0, 3.0])
    group = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    in_scope = np.array([True, True, True, True, False, True, True, True])
    result = adopters(inclination, group=group, rates=np.array([0.5, 1 / 3]), in_scope=in_scope)
    assert result.adopts.tolist() == [False, True, False, True, True, True, False, False]
    assert ((result.margin > 0) == result.adopts).all()


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (1.0, 4)])
def test_nobody_and_everybody(rate: float, expected: int) -> None:
    result = adopters(
        np.arange(4.0), group=np.zeros(4, dtype=int), rates=np.array([rate]), in_scope=np.ones(4, dtype=bool)
    )
    assert result.adopts.sum() == expected


def test_stages_agree_with_adoption(country: Country) -> None:
    rng = np.random.default_rng(8)
    count = 5000
    margin = rng.normal(-0.3, 1.0, count)
    adoption = Adoption(adopts=margin > 0, margin=margin)
    stages = technology_stages(
        country.adoption,
        adoption,
        excess=rng.normal(-0.6, 1.0, (count, 7)),
        log_employment=np.full(count, 3.0),
        waves_since_first=1,
    )
    highest = stages.max(axis=1)
    # An adopter operates at least one technology, nobody else operates any.
    np.testing.assert_array_equal(highest >= DEPLOYED, adoption.adopts)
    near = ~adoption.adopts & (margin > -country.adoption.pilot_margin)
    nearby = ~adoption.adopts & ~near & (margin > -country.adoption.planned_margin)
    assert (highest[near] == PILOT).all()
    assert (highest[nearby] == PLANNED).all()
    assert (highest[~adoption.adopts & ~near & ~nearby] == 0).all()


def test_fields_agree_with_adoption(country: Country) -> None:
    rng = np.random.default_rng(9)
    count = 2000
    main = rng.integers(18, size=count)
    served = rng.random((count, 18)) < 0.2
    served[np.arange(count), main] = True
    adopts = rng.random(count) < 0.5
    effect = rng.standard_normal((count, 18), dtype=np.float32)
    operates = fields_in_operation(country.adoption, adopts, served=served, main=main, effect=effect)
    np.testing.assert_array_equal(operates.any(axis=1), adopts)
    assert not (operates & ~served).any()
    # Bodies that operate nothing by chance operate in their main field, so the rate lies a little above 0.85.
    in_main = operates[np.arange(count), main][adopts].mean()
    assert country.adoption.field_main_rate - 0.03 < in_main < 0.95
