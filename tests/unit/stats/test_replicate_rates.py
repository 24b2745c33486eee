"""Rates from replicates beside Taylor, the rule between the two, and the covariance of two waves' rates."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.change import Segment, adoption_change
from pipelines.stats.donors import HotDeck
from pipelines.stats.imputation import impute
from pipelines.stats.nonresponse import CollapseRule
from pipelines.stats.rates import adoption_rates
from pipelines.stats.reimputation import Reimputation, candidates
from pipelines.stats.replicate_rates import EngineRule, compare_engines, kept_signs, replicate_rates
from pipelines.stats.replicate_weighting import ReplicateWeighting, draw_replicates
from pipelines.stats.replication import replicate_ratios
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import weight_sample

DOMAINS = (
    Domain("total"),
    Domain("ax_total", where_not_null="ax"),
    Domain("ax_industry", ("ax",)),
    Domain("size_class", ("size_class",)),
    Domain("ax_industry*size_class", ("ax", "size_class")),
)
MEASURES = ("ai_adoption", "stage_pilot")
KEY = ["domain_type", "domain_code", "measure", "base", "unit_weighting"]


@pytest.fixture(scope="module")
def drawn(country, plan) -> tuple[Wave, ReplicateWeighting]:
    sample = country.sample(share=0.2)
    result = weight_sample(sample, country.frame, plan=plan)
    wave = Wave.build(country.classified(result.weights), country.answers(sample), frame=country.frame)
    return wave, draw_replicates(result, survey="industry", wave=2025)


@pytest.fixture(scope="module")
def table(drawn) -> pl.DataFrame:
    return replicate_rates(*drawn, domains=DOMAINS, measures=MEASURES)


def test_rows_and_estimates_are_those_of_adoption_rates(country, drawn, table) -> None:
    wave, _ = drawn
    rates = adoption_rates(wave.units, wave.answers, frame=country.frame, domains=DOMAINS, measures=MEASURES)
    assert table.select(KEY).equals(rates.filter(pl.col("n") > 0).select(KEY))
    joined = table.join(rates, on=KEY, suffix="_rates")
    assert joined["estimate"].to_list() == pytest.approx(joined["estimate_rates"].to_list(), rel=1e-12)
    assert (joined["n"] == joined["n_rates"]).all()
    # The published SE has item non-response in it.
    assert (joined["se_taylor"] <= joined["se"] * (1 + 1e-12)).all()


@pytest.mark.parametrize(("chain", "column"), [("held", "se_bootstrap"), ("rerun", "se_rerun")])
def test_standard_errors_are_those_of_the_replicate_engine(drawn, table, chain, column) -> None:
    """Each through ReplicateWeights, with all weights written out."""
    wave, replicates = drawn
    weights = replicates.analysis(chain)
    units = wave.units
    codes = units["size_class"].replace_strict(["a", "b", "c"], [0, 1, 2]).to_numpy().astype(np.int64)
    cases = [(m, b, w) for m in MEASURES for b in ("answered", "incl_dont_know") for w in ("unit", "employment")]
    for measure, base, weighting in cases:
        size = np.ones(units.height) if weighting == "unit" else units["employment"].cast(pl.Float64).to_numpy()
        asked = units.join(
            wave.answers.filter(pl.col("measure") == measure), on="unit_id", how="left", maintain_order="left"
        ).with_columns(pl.col("answer_status").fill_null("out of scope"))
        statuses = ["answered"] if base == "answered" else ["answered", "dont_know"]
        value = asked.select(
            pl.when(pl.col("answer_status").is_in(statuses))
            .then(pl.when(pl.col("answer_status") == "answered").then("value").otherwise(0.0))
            .fill_null(np.nan)
        ).to_series()
        made = replicate_ratios(weights, (value.to_numpy() * size)[:, None], size[:, None], domain=codes, n_domains=3)
        rows = table.filter(
            (pl.col("domain_type") == "size_class")
            & (pl.col("measure") == measure)
            & (pl.col("base") == base)
            & (pl.col("unit_weighting") == weighting)
        )
        assert rows["domain_code"].to_list() == ["a", "b", "c"]
        assert rows[column].to_list() == pytest.approx(made.se[:, 0].tolist(), rel=1e-9)


def test_fields_are_rows_of_their_institution(country, plan) -> None:
    """A unit answers for every field it serves: rows of one unit share its replicate weights."""
    sample = country.sample(share=0.2)
    result = weight_sample(sample, country.frame, plan=plan)
    ids = sample.filter(pl.col("status") == "respondent")["unit_id"]
    rng = np.random.default_rng(6)
    answers = pl.concat(
        [
            pl.DataFrame(
                {
                    "unit_id": ids,
                    "field": field,
                    "measure": "field_adoption",
                    "value": (rng.random(ids.len()) < 0.3).astype(float),
                    "answer_status": "answered",
                }
            ).filter(pl.Series(rng.random(ids.len()) < share))
            for field, share in (("F1", 0.9), ("F2", 0.4))
        ]
    )
    wave = Wave.build(country.classified(result.weights), answers, frame=country.frame)
    replicates = draw_replicates(result, survey="public", wave=2025, replicates=100)
    table = replicate_rates(
        wave,
        replicates,
        domains=[Domain("public_field", ("field",))],
        measures=(),
        field_measures=("field_adoption",),
        bases=["answered"],
        unit_weightings=["unit"],
    )
    assert table["domain_code"].to_list() == ["F1", "F2"]
    weights = replicates.analysis("rerun")
    for row in table.iter_rows(named=True):
        own = answers.filter(pl.col("field") == row["domain_code"]).select("unit_id", "value")
        value = wave.units.join(own, on="unit_id", how="left", maintain_order="left")["value"].fill_null(np.nan)
        made = replicate_ratios(
            weights,
            value.to_numpy()[:, None],
            np.ones((value.len(), 1)),
            domain=np.zeros(value.len(), dtype=np.int64),
            n_domains=1,
        )
        assert row["n"] == own.height
        assert row["se_rerun"] == pytest.approx(made.se[0, 0], rel=1e-9)


def test_the_two_engines_agree(table) -> None:
    """Not one figure stops or warns, and over all figures the ratios lie about 1 by no more than their noise.

    With 500 replicates the noise of an SE is 1/sqrt(1000) = 3.2 %; figures of one sample hang together, hence 2 % of
    room for the mean.
    """
    compared = compare_engines(table)
    assert set(compared["status"]) == {"pass"}
    ratio = compared["se_ratio"].drop_nulls()
    assert ratio.len() > 100
    assert abs(ratio.mean() - 1.0) < 0.02
    assert ratio.std() < 0.06


def test_the_rule_between_engines() -> None:
    rows = [
        ("total", 1.0, 0.86, "pass"),
        ("total", 1.0, 0.84, "stop"),
        ("ax_total", 1.0, 1.19, "stop"),
        ("ax_industry", 1.0, 1.19, "pass"),
        ("ax_industry", 1.0, 1.34, "warn"),
        ("ax_industry", 1.0, 0.74, "warn"),
        ("ax_industry", 0.0, 0.0, "pass"),
        ("ax_industry", 0.0, 0.1, "warn"),
        ("total", 0.0, 0.1, "stop"),
        ("total", 0.1, 0.0, "stop"),
        ("total", None, None, "none"),
    ]
    table = pl.DataFrame(
        [row[:3] for row in rows], schema=["domain_type", "se_taylor", "se_bootstrap"], orient="row"
    ).with_columns(pl.lit(0.5).alias("se_rerun"))
    compared = compare_engines(table)
    assert compared["status"].to_list() == [row[3] for row in rows]
    assert compared["se_ratio"].to_list()[:2] == [0.86, 0.84]
    assert compared["se_ratio"].to_list()[6:9] == [None, None, None]
    assert compared["rerun_ratio"].to_list()[-2:] == [None, None]
    strict = compare_engines(table, rule=EngineRule(headline=("ax_industry",), stop_outside=(0.9, 1.1)))
    assert strict["status"].to_list()[3] == "stop"
    assert strict["status"].to_list()[1] == "pass"


def test_a_wrong_variance_is_seen(country, plan, drawn) -> None:
    """Replicates of a design whose populations are a tenth: the fractions are wrong, the rule stops."""
    wave, _ = drawn
    sample = country.sample(share=0.2)
    result = weight_sample(sample, country.frame, plan=plan)
    small = pl.max_horizontal((pl.col("stratum_population") / 4).floor(), pl.len().over("variance_stratum") + 1)
    selected = result.selected.with_columns(small.cast(pl.Int64).alias("stratum_population"))
    wrong = replace(result, selected=selected)
    replicates = draw_replicates(wrong, survey="industry", wave=2025)
    compared = compare_engines(replicate_rates(wave, replicates, domains=DOMAINS[:1], measures=MEASURES))
    assert set(compared["status"]) == {"stop"}


def test_rates_of_zero_and_one_have_no_variance(country, plan) -> None:
    sample = country.sample()
    result = weight_sample(sample, country.frame, plan=plan)
    answers = country.answers(sample).with_columns(
        pl.when(pl.col("answer_status") == "answered")
        .then((pl.col("measure") == "ai_adoption").cast(pl.Float64))
        .alias("value")
    )
    wave = Wave.build(country.classified(result.weights), answers, frame=country.frame)
    replicates = draw_replicates(result, survey="s", wave=1, replicates=30)
    table = compare_engines(replicate_rates(wave, replicates, domains=DOMAINS, measures=MEASURES, bases=["answered"]))
    assert set(table["estimate"]) == {0.0, 1.0}
    for column in ("se_taylor", "se_bootstrap", "se_rerun"):
        assert table[column].to_list() == [0.0] * table.height
    assert set(table["status"]) == {"pass"}


def test_replicates_of_other_weights_are_refused(country, plan, drawn) -> None:
    wave, _ = drawn
    other = draw_replicates(
        weight_sample(country.sample(share=0.1), country.frame, plan=plan), survey="s", wave=1, replicates=5
    )
    with pytest.raises(AxstatError, match="replicates_of_other_weights"):
        replicate_rates(wave, other, domains=DOMAINS, measures=MEASURES)


def whole_answers(country, sample: pl.DataFrame, number: int) -> pl.DataFrame:
    """Every respondent answers: the formula of C then has no item non-response in it."""
    respondents = sample.filter(pl.col("status") == "respondent").join(country.frame, on="unit_id")
    return respondents.select(
        "unit_id",
        pl.lit("").alias("field"),
        pl.lit("ai_adoption").alias("measure"),
        pl.col(f"y{number}").cast(pl.Float64).alias("value"),
        pl.lit("answered").alias("answer_status"),
    )


def test_covariance_of_two_waves_of_rates_is_that_of_the_formula(build_country, plan) -> None:
    """4,000 replicates of two overlapping waves with non-response, post-stratified in each: held to `adoption_change`.

    Bound: 4.5 Monte Carlo errors, sqrt((V1 V2 + C^2)/R), and 5 % of sqrt(V1 V2) for what the two estimators of one
    covariance differ in (deviations from the means of all units, or of the common ones). Without the strata's
    probabilities of keeping signs the take-all class is far outside: response in each wave is independent, C about 0.
    """
    country = build_country(11, 12_000)
    waves, drawn = [], []
    for number, start in ((1, 0.0), (2, 0.05)):
        sample = country.sample(number, start=start, share=0.2)
        result = weight_sample(sample, country.frame, plan=plan)
        units = country.classified(result.weights)
        waves.append(Wave.build(units, whole_answers(country, sample, number), frame=country.frame))
        if number == 1:
            drawn.append(draw_replicates(result, survey="s", wave=1, replicates=4000))
        else:
            keep = kept_signs(waves[0], waves[1])
            assert keep["keep"].is_between(-1, 1).all()
            for chosen in (keep, None):
                drawn.append(draw_replicates(result, survey="s", wave=2, previous=drawn[0].sampling, keep=chosen))
    segment = Segment("industry", "q", "1")
    formula = adoption_change(
        waves[0],
        waves[1],
        before_segment=segment,
        after_segment=segment,
        domains=[Domain("total"), Domain("size_class", ("size_class",))],
        measures=["ai_adoption"],
        unit_weightings=["unit"],
    )

    def rates(wave: Wave, replicates: ReplicateWeighting, code: str) -> np.ndarray:
        units = wave.units.join(
            wave.answers.select("unit_id", "value"), on="unit_id", how="left", maintain_order="left"
        )
        inside = np.ones(units.height) if code == "total" else (units["size_class"] == code).to_numpy()
        asked = inside * units["value"].is_not_null().to_numpy()
        y = asked * units["value"].fill_null(0.0).to_numpy()
        return np.concatenate([(y @ block) / (asked @ block) for block in replicates.blocks("held")])

    for row in formula.iter_rows(named=True):
        size = np.sqrt(row["variance_before"] * row["variance_after"])
        first = rates(waves[0], drawn[0], row["domain_code"])
        found, careless = (
            drawn[0].scale
            * ((first - row["estimate_before"]) @ (rates(waves[1], d, row["domain_code"]) - row["estimate_after"]))
            for d in drawn[1:]
        )
        bound = 4.5 * np.sqrt((size**2 + row["covariance"] ** 2) / 4000) + 0.05 * size
        assert abs(found - row["covariance"]) < bound, row["domain_code"]
        if row["domain_code"] == "c":
            assert abs(careless - row["covariance"]) > bound
        else:
            assert row["covariance"] > bound


@pytest.mark.slow
def test_rerun_variance_is_that_of_repeated_samples_and_responses(build_country, plan) -> None:
    """1,000 samples of one country, each with a new draw and new response at random: mean V against the variance seen.

    Within 3.5 errors, sqrt(2/999) of the variance seen and that of the mean V together. In the take-all class 'c' all
    variance is of response: a bootstrap of the selected units alone would give it none.
    """
    samples, replicates = 1000, 40
    base = build_country(20261124, 5000)
    # Which units are out of scope is fixed: else the population would vary too.
    in_scope = np.random.default_rng(7).random(base.frame.height) >= 0.04
    scope = base.frame.select("unit_id", pl.Series("in_scope", in_scope))
    codes = ["total", "c", "r1"]
    estimates = np.empty((samples, len(codes)))
    variances = {chain: np.empty((samples, len(codes))) for chain in ("held", "rerun")}
    for number in range(samples):
        rng = np.random.default_rng(20261124 + number)
        country = type(base)(
            frame=base.frame.with_columns(pl.Series("prn", rng.random(base.frame.height))), seed=base.seed
        )
        drawn_units = country.sample(share=0.15, seed=0).join(scope, on="unit_id", maintain_order="left")
        luck = pl.Series(rng.random(drawn_units.height))
        sample = drawn_units.with_columns(
            pl.when(luck >= 0.88)
            .then(pl.lit("unknown_eligibility"))
            .when(~pl.col("in_scope"))
            .then(pl.lit("out_of_scope"))
            .when(luck < 0.7)
            .then(pl.lit("respondent"))
            .otherwise(pl.lit("eligible_nonrespondent"))
            .alias("status")
        )
        result = weight_sample(sample, country.frame, plan=plan)
        # Another survey name in each sample: its signs are new.
        drawn = draw_replicates(result, survey=f"s{number}", wave=1, replicates=replicates)
        units = result.weights.select("unit_id", "status", "weight").join(
            country.frame.select("unit_id", "size_class", "region", "y1"), on="unit_id", maintain_order="left"
        )
        respondent = pl.col("status") == "respondent"
        inside = [respondent, respondent & (pl.col("size_class") == "c"), respondent & (pl.col("region") == "r1")]
        asked = np.array([units.select(chosen.cast(pl.Float64)).to_series().to_numpy() for chosen in inside])
        y = asked * units["y1"].to_numpy()
        weight = units["weight"].to_numpy()
        estimates[number] = (y @ weight) / (asked @ weight)
        for chain, into in variances.items():
            made = drawn.weights(chain)
            theta = (y @ made) / (asked @ made)
            into[number] = drawn.scale * np.square(theta - estimates[number][:, None]).sum(axis=1)
    seen = estimates.var(axis=0, ddof=1)
    for chain, found in variances.items():
        mean = found.mean(axis=0)
        error = np.sqrt(2.0 / (samples - 1) * seen**2 + found.var(axis=0) / samples)
        assert (np.abs(mean - seen) < 3.5 * error).all(), (chain, dict(zip(codes, mean / seen, strict=True)))


@pytest.fixture(scope="module")
def with_imputed(country, drawn) -> tuple[pl.DataFrame, Reimputation]:
    """Answers to ai_adoption with 30 % lost at random and imputed by size class; every unit has one."""
    wave, _ = drawn
    ids = wave.units.filter(pl.col("status") == "respondent")["unit_id"]
    truth = pl.DataFrame({"unit_id": ids}).join(country.frame, on="unit_id", how="left", maintain_order="left")
    lost = np.random.default_rng(77).random(ids.len()) < 0.3
    asked = truth.select(
        "unit_id",
        "size_class",
        pl.when(~pl.Series(lost)).then(pl.col("y1").cast(pl.Float64)).alias("ai_adoption"),
        pl.lit(1.0).alias("weight"),
    )
    rule = CollapseRule(parts=("size_class",), order=(), min_respondents=1)
    made = impute(
        asked, variables=["ai_adoption"], missing=lost[:, None], chain=[HotDeck(rule, key=("industry", "2025"))]
    )
    code, rows = candidates(made.deck)

    def answers(values: pl.DataFrame, imputed: pl.Series) -> pl.DataFrame:
        of_both = [
            values.select(
                "unit_id",
                pl.lit("").alias("field"),
                pl.lit(measure).alias("measure"),
                value.alias("value"),
                pl.lit("answered").alias("answer_status"),
                flag.alias("imputed"),
            )
            for measure, value, flag in (
                ("ai_adoption", pl.col("ai_adoption"), pl.lit(imputed)),
                ("stage_pilot", pl.col("unit_id").str.tail(1).is_in(["1", "4"]).cast(pl.Float64), pl.lit(False)),
            )
        ]
        return pl.concat(of_both)

    recipients = pl.DataFrame({"unit_id": made.deck.recipient})
    everyone = pl.Series([True] * recipients.height)
    offered = [
        answers(recipients.with_columns(pl.lit(value).alias("ai_adoption")), everyone) for value in rows["ai_adoption"]
    ]
    return answers(made.values, pl.Series(lost)), Reimputation(made.deck, code, offered)


def test_imputed_values_drawn_anew_add_the_variance_of_imputation(country, drawn, with_imputed) -> None:
    """30 % imputed at random: 1.73 times the variance with small f (test_reimputation), less where units are many."""
    wave, replicates = drawn
    answers, reimputation = with_imputed
    wave = Wave.build(wave.units, answers, frame=country.frame)
    options = {"domains": DOMAINS[:3], "measures": MEASURES, "bases": ["answered"]}
    held = replicate_rates(wave, replicates, **options)
    anew = replicate_rates(wave, replicates, imputed=reimputation, **options)
    assert held.drop("se_imputed", "se_rerun").equals(anew.drop("se_imputed", "se_rerun"))
    observed = pl.col("measure") == "stage_pilot"
    # nothing of it is imputed: no such standard error, and the whole chain's is the same to rounding
    assert anew.filter(observed)["se_imputed"].null_count() == anew.filter(observed).height
    assert anew.filter(observed)["se_rerun"].to_list() == pytest.approx(held.filter(observed)["se_rerun"].to_list())
    imputed = anew.filter(~observed)
    ratio = (imputed["se_imputed"] / imputed["se_bootstrap"]).pow(2)
    # donors from outside a domain make its imputed values steadier: less is added than in the total
    assert ratio.min() > 1.1
    total = imputed.filter(pl.col("domain_type") == "total", pl.col("unit_weighting") == "unit")
    assert (total["se_imputed"] / total["se_bootstrap"]).pow(2).item() == pytest.approx(1.73, rel=0.2)
    grown = imputed["se_rerun"] / held.filter(~observed)["se_rerun"]
    assert grown.min() > 1.02
    assert grown.filter(imputed["domain_type"] == "total").min() > 1.2
    # held values only: the SE with imputed values held stands in for it
    assert held.filter(~observed)["se_imputed"].equals(held.filter(~observed)["se_bootstrap"].alias("se_imputed"))


def test_taylor_says_that_imputed_values_count_as_observed(country, drawn, with_imputed) -> None:
    wave, _ = drawn
    answers, _ = with_imputed
    options = {"frame": country.frame, "domains": DOMAINS[:1], "bases": ["answered"]}
    rates = adoption_rates(wave.units, answers, measures=MEASURES, **options)
    methods = dict(rates.select("measure", "variance_method").iter_rows())
    assert methods == {"ai_adoption": "taylor_residual_as_observed", "stage_pilot": "taylor_residual"}
    # without the flag the same rate, but the finite population correction counts imputed answers as observed
    blind = adoption_rates(wave.units, answers.drop("imputed"), measures=MEASURES, **options)
    assert blind["estimate"].equals(rates["estimate"])
    pairs = dict(zip(rates["measure"] + rates["unit_weighting"], rates["se"] / blind["se"], strict=True))
    assert pairs["ai_adoptionunit"] > 1.0
    assert pairs["stage_pilotunit"] == 1.0


def test_recipients_must_be_units_of_the_wave(country, drawn, with_imputed) -> None:
    wave, replicates = drawn
    _, reimputation = with_imputed
    stranger = replace(reimputation.deck, recipient=pl.Series(["stranger", *reimputation.deck.recipient[1:]]))
    with pytest.raises(AxstatError, match="imputed_unit_without_weight") as caught:
        replicate_rates(
            wave, replicates, domains=DOMAINS[:1], measures=MEASURES, imputed=replace(reimputation, deck=stranger)
        )
    assert caught.value.where == "units stranger"


def test_fields_of_recipients_are_counted_once(country, drawn, with_imputed) -> None:
    """Rows institution x field are not imputed: with a unit's other answers drawn anew their standard errors stay."""
    wave, replicates = drawn
    answers, reimputation = with_imputed

    def served(table: pl.DataFrame) -> pl.DataFrame:
        units = table.filter(pl.col("measure") == "ai_adoption")
        number = pl.col("unit_id").str.tail(2).cast(pl.Int64)
        fields = [
            units.filter(number % every == 0).with_columns(
                pl.lit(field).alias("field"),
                pl.lit("field_adoption").alias("measure"),
                (number % 3 == 0).cast(pl.Float64).alias("value"),
                pl.lit(False).alias("imputed"),
            )
            for field, every in (("F1", 1), ("F2", 2))
        ]
        return pl.concat([table, *fields])

    wave = Wave.build(wave.units, served(answers), frame=country.frame)
    offered = replace(reimputation, answers=[served(table) for table in reimputation.answers])
    options = {
        "domains": [Domain("public_field", ("field",))],
        "measures": (),
        "field_measures": ("field_adoption",),
        "bases": ["answered"],
    }
    held = replicate_rates(wave, replicates, **options)
    anew = replicate_rates(wave, replicates, imputed=offered, **options)
    assert held["domain_code"].unique().sort().to_list() == ["F1", "F2"]
    assert anew["se_rerun"].to_list() == pytest.approx(held["se_rerun"].to_list(), rel=1e-9)
    assert anew["se_imputed"].null_count() == anew.height
