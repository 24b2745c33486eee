"""The Fay-Herriot model against published figures, R, and what follows from its formulas."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.fay_herriot import AreaModel

MILK = Path(__file__).parents[2] / "golden" / "fay_herriot_milk.csv"


def milk() -> tuple[AreaModel, pl.DataFrame]:
    """Fresh milk expenditure of 43 areas (Arora & Lahiri 1997; R `sae`, data `milk`), with what R's packages give.

    The columns ``eblup`` and ``mse`` are the printed output of ``mseFH(yi ~ as.factor(MajorArea), SD^2, data = milk)``
    of R `sae`, whose REML stops at a relative change of 1e-4. Typed in from the figures that the Python package
    `samplics` holds against R in its tests.
    """
    table = pl.read_csv(MILK)
    major = table["major_area"].to_numpy()
    x = np.column_stack([np.ones(len(major)), *((major == code).astype(float) for code in (2, 3, 4))])
    return AreaModel.build(np.square(table["sd"].to_numpy()), x), table


def test_the_milk_data_give_what_r_sae_prints() -> None:
    """At the s where its Fisher scoring stops, 0.01855022, to the last printed digit."""
    model, table = milk()
    y = table["direct"].to_numpy()[None]
    found = model.predict(y, np.array([0.01855022]))
    np.testing.assert_allclose(found.estimate[0], table["eblup"], rtol=0, atol=6e-8)
    np.testing.assert_allclose(found.mse[0], table["mse"], rtol=0, atol=2e-9)
    np.testing.assert_allclose(found.beta[0], [0.9681890, 0.1327801, 0.2269462, -0.2413011], rtol=0, atol=6e-8)
    np.testing.assert_allclose(
        np.sqrt(np.diag(found.beta_covariance[0])), [0.06936208, 0.10300072, 0.09232981, 0.08161707], rtol=0, atol=6e-9
    )
    # The root itself is a little further on
    np.testing.assert_allclose(model.reml(y), 0.01855022, rtol=1e-5)
    np.testing.assert_allclose(model.predict(y, model.reml(y)).estimate[0], table["eblup"], rtol=0, atol=1e-6)


def test_the_milk_data_give_what_r_metafor_gives() -> None:
    """R metafor: ``rma(direct ~ factor(major_area), vi = sd^2, method = "REML", control = list(threshold = 1e-14))``
    and ``blup()``, whose standard error is sqrt(g1 + g2); 12 digits, areas 1, 22 and 43.
    """
    model, table = milk()
    y = table["direct"].to_numpy()[None]
    s = model.reml(y)
    found = model.predict(y, s)
    np.testing.assert_allclose(s, 0.0185503347628, rtol=1e-9)
    np.testing.assert_allclose(
        found.beta[0], [0.968188986975, 0.132780305457, 0.226946224521, -0.241301039945], rtol=1e-10
    )
    at = [0, 21, 42]
    np.testing.assert_allclose(found.estimate[0, at], [1.021970544151, 1.192305722834, 0.681086885061], rtol=1e-11)
    np.testing.assert_allclose(
        np.sqrt(found.g1 + found.g2)[0, at], [0.1122134093550, 0.1280971279844, 0.0958418865719], rtol=1e-10
    )


def made_up(seed: int, *, domains: int = 12, sets: int = 40, effect: float = 0.2) -> tuple[AreaModel, np.ndarray]:
    rng = np.random.default_rng(seed)
    d = rng.uniform(0.01, 0.05, domains)
    x = np.column_stack([np.ones(domains), rng.normal(size=domains)])
    y = x @ [0.5, 0.1] + rng.normal(0, effect, (sets, domains)) + rng.normal(0, np.sqrt(d), (sets, domains))
    return AreaModel.build(d, x), y


def restricted_likelihood(model: AreaModel, y: np.ndarray, s: float) -> float:
    total, x = s + model.variance, model.covariates
    normal = x.T @ (x / total[:, None])
    residual = y - x @ np.linalg.solve(normal, x.T @ (y / total))
    return float(-(np.log(total).sum() + np.linalg.slogdet(normal)[1] + (residual**2 / total).sum()) / 2)


@pytest.mark.parametrize("adjusted", [False, True])
def test_reml_is_the_highest_point_of_the_restricted_likelihood(adjusted: bool) -> None:
    model, y = made_up(1)
    grid = np.linspace(0.0, 1.0, 2001)

    def height(row: np.ndarray, s: float) -> float:
        return restricted_likelihood(model, row, s) + (np.log(s) if adjusted else 0.0)

    for row, found in zip(y, model.reml(y, adjusted=adjusted), strict=True):
        assert height(row, found) >= max(height(row, s) for s in grid[1:]) - 1e-9


def test_without_effects_s_is_often_zero_and_the_eblup_the_regression() -> None:
    model, y = made_up(2, effect=0.0)
    s = model.reml(y)
    found = model.predict(y, s)
    assert 0.2 < found.is_synthetic.mean() < 1.0
    np.testing.assert_array_equal(found.estimate[found.is_synthetic], found.fitted[found.is_synthetic])
    assert (found.g1[found.is_synthetic] == 0).all()
    assert (model.reml(y, adjusted=True) > 0).all()


def test_each_data_set_is_fitted_by_itself() -> None:
    model, y = made_up(3)
    together = model.reml(y)
    np.testing.assert_allclose(together, [model.reml(row[None])[0] for row in y], rtol=1e-9, atol=1e-15)


def test_the_scale_of_the_data_is_that_of_the_answer() -> None:
    model, y = made_up(4)
    larger = AreaModel.build(100.0 * model.variance, model.covariates)
    s, ten = model.reml(y), larger.reml(10.0 * y)
    np.testing.assert_allclose(ten, 100.0 * s, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(larger.predict(10.0 * y, ten).mse, 100.0 * model.predict(y, s).mse, rtol=1e-7)


def test_prasad_raos_error_is_that_of_the_estimates() -> None:
    """Mean of the estimated MSE over 4,000 data sets within 5 % of the mean squared error in each domain."""
    rng = np.random.default_rng(20260401)
    d = np.linspace(0.01, 0.05, 30)
    x = np.column_stack([np.ones(30), rng.normal(size=30)])
    model = AreaModel.build(d, x)
    truth = x @ [0.5, 0.1] + rng.normal(0, 0.2, (4000, 30))
    y = truth + rng.normal(0, np.sqrt(d), (4000, 30))
    found = model.predict(y, model.reml(y))
    true_mse = np.square(found.estimate - truth).mean(axis=0)
    assert abs(found.mse.mean() / true_mse.mean() - 1) < 0.02
    np.testing.assert_allclose(found.mse.mean(axis=0), true_mse, rtol=0.09)


@pytest.mark.parametrize(
    ("variance", "covariates", "code"),
    [
        ([0.1, 0.0, 0.1], np.ones((3, 1)), "sampling_variance"),
        ([0.1, np.nan, 0.1], np.ones((3, 1)), "sampling_variance"),
        ([0.1, 0.1, 0.1], np.ones((3, 2)), "area_covariates"),
        ([0.1, 0.1], np.eye(2), "area_covariates"),
        ([0.1, 0.1, 0.1], [[1.0], [np.nan], [1.0]], "area_covariates"),
    ],
)
def test_what_no_model_can_be_fitted_to_is_named(variance: list[float], covariates: object, code: str) -> None:
    with pytest.raises(AxstatError, match=code):
        AreaModel.build(np.array(variance), np.array(covariates, dtype=float))
