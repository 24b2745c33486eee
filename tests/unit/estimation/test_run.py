"""What a specification means: domains, levels, contrasts, waves, calibrated replicates, statuses.

Figures are those of the functions of `stats`, which are held to R by their own tests, or follow from a formula given.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipelines.errors import AxstatError, ViolationsError
from pipelines.estimation.output import write_table
from pipelines.estimation.run import EstimateTable
from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import domain_means, evaluate, linearized_mean
from pipelines.stats.replication import jackknife
from pipelines.stats.variance import covariance

Run = Callable[..., EstimateTable]
DESIGN = {"strata": "stratum", "stages": ["psu"], "population": ["there"], "weight": "w"}


def asked(**keys: object) -> list[dict[str, object]]:
    return [{"id": "a", "measure": "adopts", **keys}]


def only(made: EstimateTable) -> dict[str, object]:
    (row,) = made.table.to_dicts()
    return row


def test_by_two_columns_is_a_partition_of_where(run: Run, sample: pl.DataFrame) -> None:
    made = run(
        sample,
        design=DESIGN,
        estimates=asked(statistic="total", where={"wave": 1, "size": ["small", "large"]}, by=["sex", "size"]),
    )
    domains = made.table["domain"].to_list()
    assert domains == [f"wave=1,size=small|large,sex={sex},size={size}" for sex in "AB" for size in ("large", "small")]
    inside = sample.filter((pl.col("wave") == 1) & (pl.col("size") != "middle"))
    assert made.table["n"].sum() == inside.height
    assert made.table["estimate"].sum() == pytest.approx(float((inside["w"] * inside["adopts"]).sum()), rel=1e-12)


def test_labels_of_psus_start_anew_in_each_stratum(run: Run, sample: pl.DataFrame) -> None:
    renamed = sample.with_columns(pl.concat_str("stratum", "psu", separator="/").alias("psu"))
    tables = [run(data, design=DESIGN, estimates=asked(statistic="mean")).table for data in (sample, renamed)]
    assert_frame_equal(*tables)
    assert tables[0]["df"].to_list() == [4 + 5 + 6 - 3]
    with pytest.raises(ViolationsError, match="psu_in_two_strata"):
        run(sample, design=DESIGN | {"nest": False}, estimates=asked(statistic="mean"))


def test_a_few_psus_in_two_strata_are_told(run: Run, sample: pl.DataFrame) -> None:
    labels = pl.concat_str("stratum", "psu", separator="/")
    apart = sample.with_columns(psu=labels.replace("west/6", "north/1"))
    made = run(apart, design=DESIGN, estimates=asked(statistic="mean"))
    assert made.notes == (
        "psu north/1 stands in 2 strata (north, west): read as a unit of each; nest: false refuses it",
    )
    # One that changes its stratum between the waves is no error
    moved = sample.with_columns(
        psu=labels,
        stratum=pl.when((labels == "west/6") & (pl.col("wave") == 2)).then(pl.lit("south")).otherwise("stratum"),
    )
    design = {"strata": "stratum", "stages": ["psu"], "weight": "w", "wave": "wave"}
    assert run(moved, design=design, estimates=asked(statistic="mean")).notes == ()
    assert run(sample, design=DESIGN, estimates=asked(statistic="mean")).notes == ()


def test_proportions_of_levels(run: Run, sample: pl.DataFrame) -> None:
    made = run(
        sample.with_columns(flag=pl.col("adopts") == 1),
        design=DESIGN,
        estimates=[
            {"id": "every", "statistic": "proportion", "measure": "size"},
            {"id": "one", "statistic": "proportion", "measure": "size", "level": "small"},
            {"id": "count", "statistic": "total", "measure": "size", "level": "small"},
            {"id": "number", "statistic": "proportion", "measure": "adopts"},
            {"id": "flag", "statistic": "proportion", "measure": "flag"},
            {"id": "wave", "statistic": "proportion", "measure": "wave", "level": 2},
        ],
    ).table
    every = made.filter(pl.col("id") == "every")
    assert every["level"].to_list() == ["large", "middle", "small"]
    assert every["estimate"].sum() == pytest.approx(1.0, rel=1e-12)
    rows = {row["id"]: row for row in made.to_dicts()}
    weight = sample["w"].sum()
    assert rows["one"]["estimate"] == pytest.approx(rows["count"]["estimate"] / weight, rel=1e-12)
    assert rows["one"]["se"] == pytest.approx(every["se"][2], rel=1e-12)
    assert rows["number"]["se"] == pytest.approx(rows["flag"]["se"], rel=1e-12)
    assert rows["wave"]["estimate"] == pytest.approx(sample.filter(wave=2)["w"].sum() / weight, rel=1e-12)


def test_missing_values_are_left_out_and_counted(run: Run, sample: pl.DataFrame) -> None:
    coded = sample.with_columns(pl.col("sales").fill_null(-99.0))
    found = only(run(coded, missing=["-99"], design=DESIGN, estimates=asked(statistic="mean", measure="sales")))
    design = SurveyDesign.from_frame(
        sample, weight="w", strata="stratum", stages=["psu"], population=["there"], nest=True
    )
    y = sample["sales"].fill_null(np.nan).to_numpy()[:, None]
    ours = domain_means(design, y, domain=np.zeros(sample.height, dtype=np.int64), n_domains=1)
    assert found["n_missing"] == sample["sales"].null_count() > 0
    assert found["n"] == sample.height - found["n_missing"]
    assert found["estimate"] == pytest.approx(ours.estimate[0, 0], rel=1e-12)
    assert found["se"] == pytest.approx(ours.se[0, 0], rel=1e-12)
    assert found["deff"] == pytest.approx(ours.deff[0, 0], rel=1e-12)


def test_a_contrast_of_estimates_is_their_difference(run: Run, sample: pl.DataFrame) -> None:
    sides = [{"size": "small"}, {"size": "large"}]
    rows = run(
        sample,
        design=DESIGN,
        estimates=[
            {"id": "s", "statistic": "proportion", "measure": "adopts", "where": sides[0]},
            {"id": "l", "statistic": "proportion", "measure": "adopts", "where": sides[1]},
            {"id": "c", "statistic": "contrast", "coefficients": {"l": 1, "s": -1}},
            {"id": "d", "statistic": "difference", "measure": "adopts", "between": sides},
            {"id": "k", "statistic": "contrast", "measure": "adopts", "between": sides, "coefficients": [-1, 1]},
            {"id": "twice", "statistic": "contrast", "coefficients": {"c": 2}},
        ],
    ).table.to_dicts()
    found = {row["id"]: row for row in rows}
    assert found["d"]["domain"] == "size=large - size=small"
    assert found["d"]["estimate"] == pytest.approx(found["l"]["estimate"] - found["s"]["estimate"], rel=1e-12)
    for other in ("c", "k"):
        for name in ("estimate", "se", "df", "n", "ci_t_low"):
            assert found[other][name] == pytest.approx(found["d"][name], rel=1e-12)
    assert found["twice"]["se"] == pytest.approx(2 * found["d"]["se"], rel=1e-12)


def test_differences_of_totals_and_ratios(run: Run, sample: pl.DataFrame) -> None:
    sides = [{"wave": 1}, {"wave": 2}]
    common = {"statistic": "difference", "measure": "sales", "between": sides}
    rows = run(
        sample,
        design=DESIGN,
        estimates=[
            {"id": "t", "of": "total", **common},
            {"id": "r", "of": "ratio", "denominator": "staff", **common},
            {"id": "total", "statistic": "total", "measure": "sales", "by": "wave"},
            {"id": "ratio", "statistic": "ratio", "measure": "sales", "denominator": "staff", "by": "wave"},
        ],
    ).table
    found = {row["id"]: row["estimate"] for row in rows.to_dicts() if "-" in row["domain"]}
    for short, name in (("t", "total"), ("r", "ratio")):
        first, second = rows.filter(pl.col("id") == name)["estimate"]
        assert found[short] == pytest.approx(second - first, rel=1e-12)


CASES: dict[str, dict[str, object]] = {
    "plain": {},
    "lonely": {"design": DESIGN | {"lonely_psu": "average", "lonely_psu_in_domain": True}},
    "adjusted": {"design": DESIGN | {"lonely_psu": "adjust", "lonely_psu_in_domain": True}},
    "stages": {"design": DESIGN | {"stages": ["psu", "unit"], "population": ["there", "within"]}},
    "calibrated": {"calibration": {"method": "linear", "terms": ["1", "staff"], "totals": [500, 500 * 52]}},
    "overlap": {"design": DESIGN | {"wave": "wave", "wave_covariance": "overlap"}},
    "calibrated overlap": {
        "design": DESIGN | {"wave": "wave", "wave_covariance": "overlap"},
        "calibration": {"method": "poststratify", "margins": {"sex": {"A": 300, "B": 200}}},
    },
    "replicates": {"design": {"weight": "w"}, "replicates": {"file": "sets.csv", "scale": 0.5, "columns": ["r*"]}},
}


def write_sets(folder: Path, n: int) -> None:
    sets = pl.DataFrame(np.random.default_rng(1).uniform(1, 2, (n, 9)), schema=[f"r{i}" for i in range(9)])
    sets.with_columns(row=np.arange(1, n + 1)).write_csv(folder / "sets.csv")


@pytest.mark.parametrize("case", CASES)
def test_by_of_no_rows_is_no_domain(run: Run, sample: pl.DataFrame, tmp_path: Path, case: str) -> None:
    write_sets(tmp_path, sample.height)
    nothing = {"measure": "sales", "where": {"size": "huge"}, "by": "sex"}
    estimates = [
        {"id": "m", "statistic": "mean", **nothing},
        {"id": "t", "statistic": "total", **nothing},
        {"id": "q", "statistic": "quantile", "probabilities": [0.5], **nothing},
        {"id": "d", "statistic": "difference", "between": [{"wave": 1}, {"wave": 2}], **nothing},
    ]
    keys = {"design": DESIGN, **CASES[case]}
    assert run(sample.with_columns(within=20), estimates=estimates, **keys).table.height == 0


@pytest.mark.parametrize("case", CASES)
def test_contrasts_by_domain_are_those_asked_one_by_one(
    run: Run, sample: pl.DataFrame, tmp_path: Path, case: str
) -> None:
    """A side may be empty, and a row may be in both."""
    write_sets(tmp_path, sample.height)
    sides = {"between": [{"size": "small"}, {"size": ["small", "large"]}], "coefficients": [-1, 2]}
    common = {"statistic": "contrast", "measure": "sales", **sides}
    kinds = {"m": {}, "t": {"of": "total"}, "r": {"of": "ratio", "denominator": "staff"}}
    keys = {"design": DESIGN, **CASES[case]}
    # The domain of the fourth units is small, and its first side empty.
    fourth = pl.col("unit") == 4
    data = sample.with_columns(within=20, size=pl.when(fourth).then(pl.lit("large")).otherwise("size"))
    together = run(data, estimates=[{"id": id_, **common, **of, "by": "unit"} for id_, of in kinds.items()], **keys)
    apart = [
        {"id": f"{id_}{unit}", **common, **of, "where": {"unit": unit}}
        for id_, of in kinds.items()
        for unit in (1, 2, 3, 4)
    ]
    expected = run(data, estimates=apart, **keys)
    assert together.table["status"].to_list() == (["ok"] * 3 + ["empty_domain"]) * 3
    assert_frame_equal(together.table.drop("id"), expected.table.drop("id"), rel_tol=1e-9, abs_tol=1e-9)


def by_hand(sample: pl.DataFrame, *, groups: str | None = None) -> float:
    """V1 + V2 - 2C of method.md 3 for the difference of the waves' means; weights post-stratified by ``groups``."""
    scores: dict[int, dict[tuple[str, int], float]] = {}
    for wave in (1, 2):
        part = sample.filter(wave=wave)
        weight, y = part["w"].to_numpy(), part["adopts"].to_numpy()
        mean = float(weight @ y / weight.sum())
        residual = weight * (y - mean) / weight.sum()
        if groups is not None:
            # The regression on indicators of cells takes out each cell's weighted mean
            cells = part.select(groups, w=weight, y=y).with_columns((pl.col("w") * pl.col("y")).alias("wy"))
            of_cell = (pl.col("wy").sum() / pl.col("w").sum()).over(groups)
            residual = weight * (y - cells.select(of_cell).to_series().to_numpy()) / weight.sum()
        scores[wave] = {}
        for key, z in zip(part.select("stratum", "psu").rows(), residual, strict=True):
            scores[wave][key] = scores[wave].get(key, 0.0) + float(z)
    variance = 0.0
    for (stratum,), group in sample.group_by("stratum"):
        total = group["there"][0]
        units = {wave: [key for key in scores[wave] if key[0] == stratum] for wave in (1, 2)}
        for wave in (1, 2):
            t = np.array([scores[wave][key] for key in units[wave]])
            variance += (1 - len(t) / total) * len(t) / (len(t) - 1) * float(((t - t.mean()) ** 2).sum())
        common = sorted(set(units[1]) & set(units[2]))
        m = len(common)
        first, second = (np.array([scores[wave][key] for key in common]) for wave in (1, 2))
        share = len(units[1]) * len(units[2]) / (m * total)
        product = float(((first - first.mean()) * (second - second.mean())).sum())
        variance -= 2 * (1 - share) * m / (m - 1) * product
    return variance


def test_waves_by_their_overlap(run: Run, sample: pl.DataFrame) -> None:
    # One unit leaves after the first wave, another is new in the second.
    moved = sample.filter(
        ~((pl.col("stratum") == "west") & (pl.col("psu") == 6) & (pl.col("wave") == 2)),
        ~((pl.col("stratum") == "south") & (pl.col("psu") == 1) & (pl.col("wave") == 1)),
    )
    overlap = DESIGN | {"wave": "wave", "wave_covariance": "overlap"}
    made = run(
        moved,
        design=overlap,
        estimates=[
            {"id": "d", "statistic": "difference", "measure": "adopts", "between": [{"wave": 1}, {"wave": 2}]},
            {"id": "one", "statistic": "mean", "measure": "adopts", "where": {"wave": 1}},
            {"id": "all", "statistic": "mean", "measure": "adopts"},
            {"id": "same", "statistic": "contrast", "coefficients": {"all": 1}},
        ],
    ).table
    found = {row["id"]: row for row in made.to_dicts()}
    assert found["d"]["se"] ** 2 == pytest.approx(by_hand(moved), rel=1e-10)
    assert found["d"]["df"] == 15 - 3
    alone = only(run(moved.filter(wave=1), design=DESIGN, estimates=asked(statistic="mean")))
    assert found["one"]["se"] == pytest.approx(alone["se"], rel=1e-12)
    # A mean over both waves holds the covariance too: twice, once for each order of the pair.
    assert found["all"]["se"] == pytest.approx(found["same"]["se"], rel=1e-12)
    # All 15 units, shared ones once, and three strata
    assert found["all"]["df"] == found["same"]["df"] == 15 - 3
    apart = run(moved, design=DESIGN, estimates=asked(statistic="mean")).table
    assert found["all"]["se"] != pytest.approx(apart["se"][0], rel=1e-6)


def test_an_interval_of_one_wave_is_that_of_its_rows_alone(run: Run, sample: pl.DataFrame) -> None:
    # Rows of weight 0 count for beta, as in R
    moved = sample.with_columns(w=pl.when(pl.col("unit") == 2).then(0.0).otherwise("w"))
    keys = {"confidence": {"methods": ["beta"]}}
    stacked = DESIGN | {"wave": "wave", "wave_covariance": "overlap"}
    both = only(run(moved, design=stacked, estimates=asked(statistic="proportion", where={"wave": 1}), **keys))
    alone = only(run(moved.filter(wave=1), design=DESIGN, estimates=asked(statistic="proportion"), **keys))
    for name in ("estimate", "se", "df", "ci_beta_low", "ci_beta_high"):
        assert both[name] == pytest.approx(alone[name], rel=1e-12)


def test_what_does_not_count_by_overlap_is_refused_over_several_waves(run: Run, sample: pl.DataFrame) -> None:
    keys = {
        "design": DESIGN | {"wave": "wave", "wave_covariance": "overlap"},
        "estimates": [
            {"id": "q", "statistic": "quantile", "measure": "staff", "probabilities": [0.5]},
            {"id": "q1", "statistic": "quantile", "measure": "staff", "probabilities": [0.5], "by": ["wave"]},
        ],
        "tests": [
            {"id": "t", "test": "ttest", "outcome": "staff", "group": "wave"},
            {"id": "t1", "test": "ttest", "outcome": "staff", "group": "sex", "where": {"wave": 1}},
        ],
        "models": [{"id": "m", "model": "linear", "outcome": "staff", "terms": ["wave"]}],
    }
    with pytest.raises(ViolationsError) as raised:
        run(sample, **keys)
    assert [(fault.code, fault.where) for fault in raised.value.violations] == [
        ("several_waves", "estimates[0]"),
        ("several_waves", "tests[0]"),
        ("several_waves", "models[0]"),
    ]
    made = run(sample, design=keys["design"], estimates=keys["estimates"][1:], tests=keys["tests"][1:]).table
    alone = run(sample.filter(wave=1), design=DESIGN, estimates=keys["estimates"][1:], tests=keys["tests"][1:]).table
    for name in ("estimate", "se", "df", "p_value"):
        assert made.filter(domain="wave=1")[name].to_list() == pytest.approx(alone[name].to_list()[:1], nan_ok=True)
        assert made[name][-1] == pytest.approx(alone[name][-1], rel=1e-12)


def test_calibrated_waves_by_their_overlap(run: Run, sample: pl.DataFrame) -> None:
    """One factor in each cell, so that the weights in the formula are final; cells of each wave by itself."""
    moved = sample.filter(~((pl.col("stratum") == "west") & (pl.col("psu") == 6) & (pl.col("wave") == 2)))
    totals = {f"{wave}:{sex}": 100.0 * wave + (40.0 if sex == "A" else 0.0) for wave in (1, 2) for sex in "AB"}
    sums = moved.group_by("wave", "sex").agg(pl.col("w").sum())
    factor = {(wave, sex): totals[f"{wave}:{sex}"] / weight for wave, sex, weight in sums.rows()}
    final = moved.with_columns(
        w=pl.Series([weight * factor[wave, sex] for weight, wave, sex in moved.select("w", "wave", "sex").rows()])
    )
    asked_ = [
        {"id": "d", "statistic": "difference", "measure": "adopts", "between": [{"wave": 1}, {"wave": 2}]},
        {"id": "all", "statistic": "mean", "measure": "adopts"},
        {"id": "same", "statistic": "contrast", "coefficients": {"all": 1}},
    ]
    made = run(
        moved,
        design=DESIGN | {"wave": "wave", "wave_covariance": "overlap"},
        calibration={"method": "poststratify", "margins": {"wave:sex": totals}},
        estimates=asked_,
    ).table
    found = {row["id"]: row for row in made.to_dicts()}
    assert found["d"]["se"] ** 2 == pytest.approx(by_hand(final, groups="sex"), rel=1e-10)
    assert found["d"]["se"] ** 2 != pytest.approx(by_hand(final), rel=1e-3)
    assert found["all"]["se"] == pytest.approx(found["same"]["se"], rel=1e-12)


def test_a_beta_interval_of_a_quantile_needs_degrees_of_freedom(run: Run, sample: pl.DataFrame) -> None:
    # A unit in each stratum: R's svyquantile(…, interval.type="beta") gives NaN, NaN
    lonely = sample.filter(pl.col("psu") == 1, pl.col("wave") == 1, pl.col("unit") == 1)
    quantile = {"statistic": "quantile", "measure": "staff", "probabilities": [0.5]}
    design = {"strata": "stratum", "weight": "w", "lonely_psu": "adjust"}
    estimates = [{"id": interval, **quantile, "interval": interval} for interval in ("beta", "mean")]
    made = run(lonely, design=design, estimates=estimates).table
    assert made["status"].to_list() == ["no_df"] * 2
    assert made.select(pl.col("^ci_.*$").null_count()).row(0) == (2, 2, 2, 2)


def test_stacked_waves_follow_r(run: Run, sample: pl.DataFrame) -> None:
    found = only(
        run(sample, design=DESIGN, estimates=asked(statistic="difference", between=[{"wave": 1}, {"wave": 2}]))
    )
    design = SurveyDesign.from_frame(
        sample, weight="w", strata="stratum", stages=["psu"], population=["there"], nest=True
    )
    y, wave = sample["adopts"].to_numpy().astype(float)[:, None], sample["wave"].to_numpy()
    sides = [linearized_mean(design, y, inside=wave == each) for each in (1, 2)]
    u = sides[1].influence - sides[0].influence
    assert found["se"] ** 2 == pytest.approx(covariance(design, u)[0, 0], rel=1e-12)
    assert evaluate(design, sides[0]).n[0] + evaluate(design, sides[1]).n[0] == found["n"]


def test_replicates_are_calibrated_each_by_itself(run: Run, sample: pl.DataFrame, tmp_path: Path) -> None:
    """A total that is calibrated on has no variance; the rest comes near the linearised one, without being it."""
    design = SurveyDesign.from_frame(
        sample, weight="w", strata="stratum", stages=["psu"], population=["there"], nest=True
    )
    weights = jackknife(design)
    sets = pl.DataFrame(weights.analysis_weights(), schema=[f"r{i}" for i in range(weights.n_replicates)])
    sets.insert_column(0, pl.Series("row", np.arange(1, sample.height + 1)))
    sets.write_csv(tmp_path / "sets.csv")
    totals = {"A": 250.0, "B": 270.0}
    common = {"calibration": {"method": "poststratify", "margins": {"sex": totals}}}
    estimates = [
        {"id": "m", "statistic": "mean", "measure": "adopts"},
        {"id": "f", "statistic": "total", "measure": "sex", "level": "A"},
    ]
    replicated = run(
        sample,
        design={"weight": "w"},
        replicates={"file": "sets.csv", "scale": 1, "rscales": weights.rscales.tolist(), "mse": True},
        estimates=estimates,
        **common,
    ).table.to_dicts()
    taylor = run(sample, design=DESIGN, estimates=estimates, **common).table.to_dicts()
    assert replicated[1]["estimate"] == pytest.approx(250.0, rel=1e-12)
    assert replicated[1]["se"] == pytest.approx(0.0, abs=1e-9)
    assert replicated[0]["estimate"] == pytest.approx(taylor[0]["estimate"], rel=1e-12)
    assert replicated[0]["se"] == pytest.approx(taylor[0]["se"], rel=0.1)
    assert replicated[0]["se"] != taylor[0]["se"]


def test_quantiles_over_replicates_count_rows_as_means_do(run: Run, sample: pl.DataFrame, tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    sets = pl.DataFrame({f"r{i}": draw.uniform(1, 9, sample.height) for i in (1, 2, 3)})
    sets.with_row_index("row", offset=1).write_csv(tmp_path / "sets.csv")
    data = sample.with_columns(w=pl.when(pl.col("psu") == 1).then(0.0).otherwise("w"))
    made = run(
        data,
        design={"weight": "w"},
        replicates={"file": "sets.csv", "scale": 1},
        estimates=[
            {"id": "m", "statistic": "mean", "measure": "sales"},
            {"id": "q", "statistic": "quantile", "measure": "sales", "probabilities": [0.5]},
        ],
    ).table
    assert made["n"].to_list() == [sample["sales"].count()] * 2


def test_replicates_may_be_calibrated_below_zero(run: Run, tmp_path: Path) -> None:
    """w, w, v with 2 w + v = 3 and 2 w + 10 v = 2 is w = 14/9, v = -1/9, whatever the weights before."""
    data = pl.DataFrame({"w": [1.0, 1.0, 1.0], "staff": [1, 1, 10], "y": [1, 1, 0]})
    sets = pl.DataFrame({"row": [1, 2, 3], "r1": [1.0, 1.0, 2.0], "r2": [2.0, 2.0, 1.0]})
    sets.write_csv(tmp_path / "sets.csv")
    made = run(
        data,
        design={"weight": "w"},
        replicates={"file": "sets.csv", "scale": 1},
        calibration={"method": "linear", "terms": ["1", "staff"], "totals": [3, 2]},
        estimates=[{"id": "t", "statistic": "total", "measure": "y"}],
    )
    assert only(made)["estimate"] == pytest.approx(28 / 9, rel=1e-12)
    assert only(made)["se"] == pytest.approx(0.0, abs=1e-12)
    assert made.notes == ("calibration made the weight negative in rows 3; bounds would prevent it",)


def test_a_replicate_that_cannot_be_calibrated_is_named(run: Run, sample: pl.DataFrame, tmp_path: Path) -> None:
    sets = pl.DataFrame({"r1": sample["w"], "r2": sample.select(pl.when(sex="A").then("w").otherwise(0.0)).to_series()})
    sets.with_row_index("row", offset=1).write_csv(tmp_path / "sets.csv")
    with pytest.raises(ViolationsError, match="replicate 2 of 2, whose weights are calibrated"):
        run(
            sample,
            design={"weight": "w"},
            replicates={"file": "sets.csv", "scale": 1},
            calibration={"method": "poststratify", "margins": {"sex": {"A": 50, "B": 50}}},
            estimates=asked(statistic="mean"),
        )


def test_degrees_of_freedom_are_no_more_than_the_producer_states(
    run: Run, sample: pl.DataFrame, tmp_path: Path
) -> None:
    draw = np.random.default_rng(4)
    sets = pl.DataFrame({f"r{i}": draw.uniform(1, 9, sample.height) for i in range(9)})
    sets.with_row_index("row", offset=1).write_csv(tmp_path / "sets.csv")
    few = sample.with_row_index("at").with_columns(few=pl.col("at") < 4)
    estimates = [
        {"id": "m", "statistic": "mean", "measure": "staff"},
        {"id": "f", "statistic": "mean", "measure": "staff", "where": {"few": True}},
        {"id": "q", "statistic": "quantile", "measure": "staff", "probabilities": [0.5]},
    ]
    for degf, expected in ((None, [8, 3, 8]), (5, [5, 3, 5])):
        replicates = {"file": "sets.csv", "scale": 1} | ({} if degf is None else {"degf": degf})
        made = run(few, design={"weight": "w"}, replicates=replicates, estimates=estimates).table
        assert made["df"].to_list() == expected


def test_columns_that_are_no_replicates_are_not_taken_for_some(run: Run, sample: pl.DataFrame, tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    sets = pl.DataFrame({f"r{i}": draw.uniform(1, 9, sample.height) for i in (1, 2, 3)})
    sets.with_columns(rw=sample["w"], region=1).with_row_index("row", offset=1).write_csv(tmp_path / "sets.csv")
    data = sample.rename({"w": "rw"})
    keys = {"file": "sets.csv", "scale": 1}
    made = run(data, design={"weight": "rw"}, estimates=asked(statistic="mean"), replicates=keys)
    assert (only(made)["df"], made.notes) == (2, ())
    # A pattern that takes another column besides says so; the weight itself is never one
    wide = run(data, design={"weight": "rw"}, estimates=asked(statistic="mean"), replicates=keys | {"columns": "r*"})
    assert only(wide)["df"] == 3
    assert wide.notes == (
        "4 replicates, of columns named in 2 ways (r3, region): say in replicates.columns which are meant, if not all",
    )


def test_missing_replicates_are_named_in_their_own_file(run: Run, sample: pl.DataFrame, tmp_path: Path) -> None:
    """The file has its rows in an order of its own, and one of a unit that the data leave out."""
    rows = list(range(sample.height, -1, -1))
    sets = pl.DataFrame({"row": rows} | {f"r{i}": [1.5 + i + row % 5 for row in rows] for i in range(4)})

    def asked_with(sets: pl.DataFrame) -> None:
        sets.write_csv(tmp_path / "sets.csv")
        replicates = {"file": "sets.csv", "scale": 1}
        run(sample, design={"weight": "w"}, replicates=replicates, estimates=asked(statistic="mean"))

    last = pl.col("row") == 0
    asked_with(sets.with_columns(pl.when(last).then(None).otherwise("r1").alias("r1")))
    with pytest.raises(ViolationsError) as raised:
        asked_with(
            sets.with_columns(
                pl.when(last | (pl.col("row") == sample.height - 2)).then(None).otherwise("r1").alias("r1"),
                pl.when(pl.col("row") == sample.height - 6).then(None).otherwise("r3").alias("r3"),
            )
        )
    (fault,) = raised.value.violations
    assert fault.where == "replicates, file sets.csv, columns 'r1', 'r3'"
    assert (fault.code, fault.rows, fault.got) == ("replicates_missing", (3, 7), "2 missing")


def test_replicates_without_a_row_of_the_data_are_refused(run: Run, sample: pl.DataFrame, tmp_path: Path) -> None:
    pl.DataFrame({"row": [1, 2, 2], "r1": [1.0, 2.0, 3.0]}).write_csv(tmp_path / "sets.csv")
    with pytest.raises(ViolationsError) as raised:
        run(
            sample,
            design={"weight": "w"},
            replicates={"file": "sets.csv", "scale": 1},
            estimates=asked(statistic="mean"),
        )
    found = {fault.code: fault.rows for fault in raised.value.violations}
    assert found["key_repeated"] == (2, 3)
    assert found["key_without_replicates"] == tuple(range(3, sample.height + 1))


@pytest.mark.parametrize("method", ["rake", "poststratify"])
def test_levels_of_a_margin_of_numbers_are_numbers(run: Run, sample: pl.DataFrame, method: str) -> None:
    """0.0 and 01 are levels 0 and 1 there, as in a condition; a level of text is what is written."""
    made = only(
        run(
            sample,
            design={"weight": "w"},
            calibration={"method": method, "margins": {"adopts": {"0.0": 400, "01": 300}}},
            estimates=asked(statistic="total", measure="adopts"),
        )
    )
    assert made["estimate"] == pytest.approx(300)
    with pytest.raises(ViolationsError, match=r"2\.5"):
        run(
            sample,
            design={"weight": "w"},
            calibration={"method": method, "margins": {"adopts": {0.0: 400, 1: 300, 2.5: 9}}},
            estimates=asked(statistic="total", measure="adopts"),
        )


def test_crossed_post_strata(run: Run, sample: pl.DataFrame) -> None:
    cells = {
        f"{sex}:{size}": 100.0 + 10 * i
        for i, (sex, size) in enumerate((sex, size) for sex in "AB" for size in ("large", "middle", "small"))
    }
    crossed = {"method": "poststratify", "margins": {"sex:size": cells}}
    made = run(
        sample,
        design=DESIGN,
        calibration=crossed,
        estimates=[{"id": "t", "statistic": "total", "measure": "size", "level": "small", "by": ["sex"]}],
    )
    assert made.table["estimate"].to_list() == pytest.approx([cells["A:small"], cells["B:small"]], rel=1e-12)
    joined = sample.with_columns(cell=pl.concat_str("sex", "size", separator="-"))
    same = run(
        joined,
        design=DESIGN,
        calibration={"method": "poststratify", "margins": {"cell": {k.replace(":", "-"): v for k, v in cells.items()}}},
        estimates=asked(statistic="mean"),
    )
    assert only(same)["se"] == pytest.approx(
        only(run(sample, design=DESIGN, calibration=crossed, estimates=asked(statistic="mean")))["se"], rel=1e-12
    )


def test_negative_weights_of_a_linear_calibration_are_told(run: Run, sample: pl.DataFrame) -> None:
    made = run(
        sample,
        design=DESIGN,
        calibration={"method": "linear", "terms": ["1", "staff"], "totals": [500, 500 * 82]},
        estimates=asked(statistic="mean"),
    )
    (note,) = made.notes
    assert "negative in rows" in note


@pytest.mark.parametrize(
    ("rule", "zero"), [("certainty", True), ("remove", True), ("adjust", False), ("average", False)]
)
def test_a_lonely_psu(run: Run, sample: pl.DataFrame, rule: str, zero: bool) -> None:
    """A file of one lonely PSU in one stratum and two in another: V by hand."""
    data = pl.DataFrame({"h": ["x", "y", "y"], "p": [1, 1, 2], "w": [2.0, 1.0, 3.0], "y": [1.0, 0.0, 1.0]})
    found = only(
        run(
            data,
            design={"strata": "h", "stages": ["p"], "weight": "w", "lonely_psu": rule},
            estimates=[{"id": "t", "statistic": "total", "measure": "y"}],
        )
    )
    rest = 2.0 * ((0 - 1.5) ** 2 + (3 - 1.5) ** 2)
    expected = {"certainty": rest, "remove": rest, "adjust": rest + 2.0**2, "average": 2 * rest}[rule]
    assert found["se"] ** 2 == pytest.approx(expected, rel=1e-12)
    assert (expected == rest) == zero
    assert found["status"] == "ok"


def test_statuses(run: Run, sample: pl.DataFrame) -> None:
    made = run(
        sample,
        design=DESIGN,
        confidence={"methods": ["xlogit", "beta", "wilson"]},
        estimates=[
            {"id": "empty", "statistic": "proportion", "measure": "adopts", "where": {"size": "huge"}},
            {"id": "lone", "statistic": "proportion", "measure": "adopts", "where": {"stratum": "west", "psu": 2}},
            {"id": "d", "statistic": "difference", "measure": "adopts", "between": [{"size": "huge"}, {"sex": "A"}]},
            {"id": "zero", "statistic": "ratio", "measure": "sales", "denominator": "adopts", "where": {"adopts": 0}},
            {"id": "q", "statistic": "quantile", "measure": "sales", "probabilities": [0.5], "where": {"size": "huge"}},
        ],
    ).table
    assert dict(made.select("id", "status").rows()) == {
        "empty": "empty_domain",
        "lone": "no_df",
        "d": "empty_domain",
        "zero": "no_estimate",
        "q": "empty_domain",
    }
    lone = made.row(1, named=True)
    for method in ("xlogit", "beta", "wilson"):
        assert lone[f"ci_{method}_low"] < lone["estimate"] < lone[f"ci_{method}_high"]
        assert lone[f"ci_{method}_rule"] == "no_df"


def test_only_a_population_gives_the_weights(run: Run, sample: pl.DataFrame) -> None:
    first = sample.filter(wave=1).unique(["stratum", "psu"], maintain_order=True)
    found = only(
        run(
            first,
            design={"strata": "stratum", "population": "there"},
            estimates=asked(statistic="total", measure="staff"),
        )
    )
    by_stratum = first.group_by("stratum").agg(pl.col("staff").mean() * pl.col("there").first())
    assert found["estimate"] == pytest.approx(by_stratum["staff"].sum(), rel=1e-12)
    assert found["sum_weights"] == pytest.approx(12 + 40 + 9, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"w": pl.when(pl.col("psu") == 1).then(None).otherwise(pl.col("w"))}, "weight_missing", "'w'"),
        ({"w": -pl.col("w")}, "weight_negative", "'w'"),
        ({"w": pl.lit("x")}, "not_a_number", "design.weight"),
        ({"stratum": pl.lit(None, dtype=pl.String)}, "label_missing", "'stratum'"),
        ({"there": pl.lit(2)}, "sample_exceeds_population", "'there'"),
        ({"adopts": pl.lit("yes")}, "not_a_number", "estimates[0].measure"),
    ],
)
def test_columns_at_fault_are_named_with_their_rows(
    run: Run, sample: pl.DataFrame, change: dict[str, pl.Expr], code: str, where: str
) -> None:
    with pytest.raises(ViolationsError) as raised:
        run(sample.with_columns(**change), design=DESIGN, estimates=asked(statistic="mean"))
    (fault,) = raised.value.violations
    assert fault.code == code
    assert where in fault.where
    assert fault.rows


def test_unknown_columns_and_levels_have_their_nearest_names(run: Run, sample: pl.DataFrame) -> None:
    with pytest.raises(ViolationsError) as raised:
        run(
            sample,
            design=DESIGN | {"strata": "stratums"},
            calibration={"method": "linear", "terms": ["1", "staf"], "totals": [1, 2]},
            estimates=asked(statistic="mean", measure="adopt", where={"sizes": "small"}, by=["sx"]),
        )
    assert {(fault.where, fault.hint) for fault in raised.value.violations} == {
        ("design.strata", "did you mean stratum?"),
        ("calibration.terms", "did you mean staff?"),
        ("estimates[0].measure", "did you mean adopts?"),
        ("estimates[0].where", "did you mean size?"),
        ("estimates[0].by", "did you mean sex?"),
    }
    with pytest.raises(ViolationsError, match="did you mean small"):
        run(sample, design=DESIGN, estimates=asked(statistic="proportion", measure="size", level="smal"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_rows_does_not_matter(run: Run, sample: pl.DataFrame, seed: int) -> None:
    keys = {
        "design": DESIGN | {"lonely_psu": "adjust", "lonely_psu_in_domain": True},
        "confidence": {"methods": ["logit", "likelihood", "asin"]},
        "calibration": {"method": "rake", "margins": {"sex": {"A": 260, "B": 260}, "wave": {"1": 300, "2": 220}}},
        "estimates": [
            {"id": "p", "statistic": "proportion", "measure": "adopts", "by": ["stratum", "size"]},
            {"id": "r", "statistic": "ratio", "measure": "sales", "denominator": "staff"},
            {"id": "q", "statistic": "quantile", "measure": "sales", "probabilities": [0.1, 0.5], "rule": "hf7"},
            {"id": "d", "statistic": "difference", "measure": "adopts", "between": [{"wave": 1}, {"wave": 2}]},
        ],
    }
    first = run(sample, **keys).table
    again = run(sample.sample(fraction=1.0, shuffle=True, seed=seed), **keys).table
    assert_frame_equal(first, again, rel_tol=1e-9, abs_tol=1e-12)


def test_tests_and_models(run: Run, sample: pl.DataFrame) -> None:
    made = run(
        sample,
        design=DESIGN,
        estimates=[{"id": "d", "statistic": "difference", "measure": "staff", "between": [{"sex": "A"}, {"sex": "B"}]}],
        tests=[
            {"id": "x", "test": "chisq", "row": "sex", "column": "size", "where": {"wave": 1}},
            {"id": "t", "test": "ttest", "outcome": "staff", "group": "sex"},
            {"id": "o", "test": "ttest", "outcome": "staff", "null": 40},
        ],
        models=[{"id": "m", "model": "linear", "outcome": "staff", "terms": ["sex"]}],
    ).table
    found = {row["id"]: row for row in made.filter(pl.col("id") != "m").to_dicts()}
    slope = made.filter(id="m", level="sexB").to_dicts()[0]
    assert found["x"]["statistic"] == "chisq F"
    assert 0 < found["x"]["p_value"] < 1
    assert found["x"]["n"] == sample.filter(wave=1).height
    # The difference of two means, its t-test and the regression on the group are one and the same.
    for other in (found["t"], slope):
        assert other["estimate"] == pytest.approx(found["d"]["estimate"], rel=1e-9)
        assert other["se"] == pytest.approx(found["d"]["se"], rel=1e-9)
    assert found["t"]["test_statistic"] == pytest.approx(slope["test_statistic"], rel=1e-9)
    assert found["o"]["domain"] == "all"


def test_tests_and_models_of_nobody_have_a_status_and_others_say_who_they_are(run: Run, sample: pl.DataFrame) -> None:
    nobody = {"where": {"size": "huge"}}
    made = run(
        sample,
        design=DESIGN,
        tests=[
            {"id": "x", "test": "chisq", "row": "sex", "column": "size", **nobody},
            {"id": "t", "test": "ttest", "outcome": "staff", "group": "sex", **nobody},
        ],
        models=[{"id": "m", "model": "logistic", "outcome": "adopts", "terms": ["sex"], **nobody}],
    ).table
    assert made.select("id", "domain", "n", "status").rows() == [
        (name, "size=huge", 0, "empty_domain") for name in ("x", "t", "m")
    ]
    with pytest.raises(ViolationsError, match=r"tests\[0\] x: test of association: 1 violation"):
        run(
            sample,
            design=DESIGN,
            tests=[{"id": "x", "test": "chisq", "row": "sex", "column": "size", "where": {"sex": "A"}}],
        )


def test_values_that_a_column_cannot_hold_are_no_ones(run: Run, sample: pl.DataFrame) -> None:
    small = sample.with_columns(
        pl.col("wave").cast(pl.Int8), there8=pl.col("there").cast(pl.UInt8), id=pl.col("psu").cast(pl.UInt64) + 2**63
    )
    where = [
        {"wave": "1.0"},
        {"wave": 1},
        {"wave": 300},
        {"there8": -1},
        {"wave": "inf"},
        {"wave": 1e30},
        {"wave": 1.5},
    ]
    where += [{"wave": "nan"}, {"wave": "9" * 400}, {"id": 2**63 + 1}]
    estimates = [
        {"id": str(i), "statistic": "total", "measure": "adopts", "where": each} for i, each in enumerate(where)
    ]
    estimates.append({"id": "by", "statistic": "total", "measure": "adopts", "by": ["id"]})
    made = run(small, design=DESIGN, estimates=estimates).table
    n = made["n"].to_list()
    assert n[:2] == [sample.filter(wave=1).height] * 2
    assert n[2:9] == [0] * 7
    assert n[9:10] == n[10:11] == [sample.filter(psu=1).height]
    assert made["domain"][10] == f"id={2**63 + 1}"


def test_times_are_labels(run: Run, sample: pl.DataFrame) -> None:
    days = sample.with_columns(
        day=pl.date(2024, 1, pl.col("psu")), at=pl.datetime(2024, 1, pl.col("psu"), 9, 30), hour=pl.time(pl.col("psu"))
    )
    asked_ = [
        {"id": name, "statistic": "total", "measure": "adopts", "where": {name: value}}
        for name, value in (("day", "2024-01-01"), ("at", "2024-01-01 09:30:00"), ("hour", "01:00:00"), ("psu", 1))
    ]
    made = run(days, design=DESIGN, estimates=asked_).table
    assert made["n"].to_list() == [sample.filter(psu=1).height] * 4


def test_columns_of_lists_are_refused(run: Run, sample: pl.DataFrame) -> None:
    lists = sample.with_columns(sales=pl.concat_list("staff", "psu"), staff=pl.duration(days=pl.col("psu")))
    with pytest.raises(ViolationsError) as raised:
        run(lists, design=DESIGN, estimates=[{"id": m, "statistic": "mean", "measure": m} for m in ("sales", "staff")])
    assert [(fault.code, fault.where) for fault in raised.value.violations] == [
        ("not_single_values", "file data.parquet, column 'sales'"),
        ("not_single_values", "file data.parquet, column 'staff'"),
    ]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_what_is_written_is_the_table(run: Run, sample: pl.DataFrame, tmp_path: Path, suffix: str) -> None:
    table = run(sample, design=DESIGN, estimates=asked(statistic="mean", by=["size"])).table
    path = tmp_path / f"out{suffix}"
    write_table(table, path)
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".json": pl.read_json}[suffix](path)
    assert_frame_equal(
        read.select("id", "domain", "n", "estimate", "se", "status"),
        table.select("id", "domain", "n", "estimate", "se", "status"),
    )
    assert read.columns == table.columns


def test_a_table_that_cannot_be_written_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.csv"
    write_table(pl.DataFrame({"a": [1]}), path)

    def full(self: pl.DataFrame, file: Path) -> None:
        file.write_text("a", encoding="utf-8")
        raise pl.exceptions.ComputeError("No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    with pytest.raises(AxstatError, match="No space left on device"):
        write_table(pl.DataFrame({"a": [2]}), path)
    assert path.read_text(encoding="utf-8") == "a\n1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AxstatError, match="unknown_format"):
        write_table(pl.DataFrame(), tmp_path / "out.xlsx")
