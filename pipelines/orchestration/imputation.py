"""Item imputation of a wave, where the survey's contract asks for it.

Belongs here: the contract's rule in the words of `stats`, the answers it reads, `core.imputed_value`, what the
replicates draw from. Does not belong here: a method (stats.imputation), measures, which SQL makes of imputed and
observed answers alike.
"""

from collections.abc import Sequence

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import Column
from pipelines.contracts.surveys import ImputationRule, Survey
from pipelines.errors import AxstatError
from pipelines.orchestration.plans import collapse_rule
from pipelines.stats.donors import HotDeck
from pipelines.stats.draw_id import DRAW_ID
from pipelines.stats.imputation import Deductive, DeductiveRule, Imputation, LastWave, Step, impute
from pipelines.stats.reimputation import Reimputation, candidates
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import require_whole

_TABLE = "core.imputed_value"
_EMPTY = dict.fromkeys(("variable", "unit_id", "value", "method", "donor", "imputation_class"), pl.String)  # fmt: skip


def impute_wave(session: Session, library: ContractLibrary, *, survey: Survey, wave: int) -> pl.DataFrame:
    """Fill `core.imputed_value` of a wave, before its measures are made; nothing where the contract asks for nothing.

    Returns:
        the rates of :class:`pipelines.stats.imputation.Imputation`; no rows where nothing was asked for.

    Raises:
        AxstatError, ViolationsError: of :func:`pipelines.stats.imputation.impute`; more is imputed than `max_rate`.
    """
    made = _imputation(session, library, survey=survey, wave=wave)
    cells = pl.DataFrame(schema=_EMPTY) if made is None else made.cells
    rows = cells.rename({"donor": "donor_id"}).with_columns(
        pl.lit(survey.survey).alias("survey"), pl.lit(wave, dtype=pl.Int32).alias("wave")
    )
    session.replace(_TABLE, rows, where={"survey": survey.survey, "wave": wave})
    if made is None or survey.imputation is None:
        return pl.DataFrame()
    much = made.rates.filter(pl.col("method") == "all", pl.col("weighted_rate") > survey.imputation.max_rate)
    if much.height:
        raise AxstatError(
            "too_much_imputed",
            where=f"{survey.survey} {wave}",
            expected=f"at most {survey.imputation.max_rate:.1%} of the weight of a variable imputed",
            got=", ".join(f"{row['variable']} {row['weighted_rate']:.1%}" for row in much.iter_rows(named=True)),
            hint="find out why so many did not answer; published standard errors take imputed values as observed, so "
            "`max_rate` in the survey's contract is raised only where that does not matter",
        )
    return made.rates


def reimputation(session: Session, library: ContractLibrary, *, survey: Survey, wave: int) -> Reimputation | None:
    """What the replicates of a wave draw imputed values from; None where none is from a donor.

    The measures with each row of values that a recipient may get are asked of the statement that makes them. For that
    `core.imputed_value` holds those values for a moment, inside the session's transaction, and then its own again.
    """
    made = _imputation(session, library, survey=survey, wave=wave)
    if made is None or made.deck is None:
        return None
    scope = {"survey": survey.survey, "wave": wave}
    code, offers = candidates(made.deck)
    kept = session.table(_TABLE, where=scope)
    answers = []
    for offer in offers.iter_rows(named=True):
        given = pl.col("variable").replace_strict(offer, return_dtype=pl.String)
        offered = kept.with_columns(
            pl.when(pl.col("method") == "hot_deck").then(given).otherwise("value").alias("value")
        )
        session.replace(_TABLE, offered, where=scope)
        measures = session.query("core.unit_measure", **scope)
        answers.append(measures.filter(pl.col("unit_id").is_in(made.deck.recipient.implode())))
    session.replace(_TABLE, kept, where=scope)
    return Reimputation(made.deck, code, answers)


def _imputation(session: Session, library: ContractLibrary, *, survey: Survey, wave: int) -> Imputation | None:
    rule = survey.imputation
    if rule is None:
        return None
    delivery = library.deliveries[survey.contracts.response]
    version = survey.question_version(wave)
    asked = [column for column in map(delivery.column, rule.variables) if column.asked_in(version)]
    if not asked:
        return None
    names = [column.name for column in asked]
    told = [name for deduction in rule.deductions for name in deduction.when]
    scope = {"survey": survey.survey, "wave": wave}
    given = session.table(f"staging.{delivery.name}", where=scope, columns=("unit_id", *dict.fromkeys((*names, *told))))
    parts = () if rule.classes is None else tuple(part for part in rule.classes.parts if part not in given.columns)
    units = session.table("core.units", where=scope, columns=("unit_id", *parts))
    sample = session.table(
        "core.sample", where={**scope, "status": "respondent"}, columns=("unit_id", DRAW_ID, "inclusion_probability")
    )
    answers = given.join(units, on="unit_id").join(sample, on="unit_id").sort(DRAW_ID)
    missing = answers.select(_status(column).is_in(list(rule.statuses)) for column in asked).to_numpy()
    table = answers.select(
        "unit_id",
        DRAW_ID,
        *[_answered(column) for column in asked],
        *parts,
        (1.0 / pl.col("inclusion_probability")).alias("weight"),
    )
    chain: list[Step] = []
    for method in rule.chain:
        if method == "deductive":
            chain.append(_deductive(rule, answers, names))
        elif method == "last_wave":
            chain += _last_wave(session, library, survey, wave, asked)
        elif rule.classes is not None:
            chain.append(
                HotDeck(
                    collapse_rule(rule.classes, library),
                    key=(survey.survey, str(wave)),
                    by_weight=rule.donors == "by_weight",
                    max_uses=rule.max_uses,
                )
            )
    return impute(table, variables=names, missing=missing, chain=chain)


def _status(column: Column) -> pl.Expr:
    """What kind of answer a column holds: the kinds of its missing codes, 'not_asked' for a blank, else 'answered'."""
    told = pl.col(column.name).replace_strict(
        dict(column.missing_codes), default=pl.lit("answered"), return_dtype=pl.String
    )
    return pl.when(pl.col(column.name).is_null()).then(pl.lit("not_asked")).otherwise(told).alias(column.name)


def _answered(column: Column) -> pl.Expr:
    return pl.when(_status(column) == "answered").then(column.name).alias(column.name)


def _deductive(rule: ImputationRule, answers: pl.DataFrame, names: Sequence[str]) -> Deductive:
    rules = []
    for deduction in rule.deductions:
        holds = [pl.col(name).is_in(list(codes)).fill_null(False) for name, codes in deduction.when.items()]
        applies = answers.select(pl.all_horizontal(holds).alias("applies"))["applies"].to_numpy()
        rules += [DeductiveRule(name, applies, deduction.value) for name in deduction.variables if name in names]
    return Deductive(tuple(rules))


def _last_wave(
    session: Session, library: ContractLibrary, survey: Survey, wave: int, asked: Sequence[Column]
) -> list[LastWave]:
    """The answers of the wave before; none where it asked another question or was never run."""
    if wave == survey.first_wave or survey.question_version(wave - 1) != survey.question_version(wave):
        return []
    scope = {"survey": survey.survey, "wave": wave - 1}
    names = tuple(column.name for column in asked)
    before = session.table(f"staging.{survey.contracts.response}", where=scope, columns=("unit_id", *names))
    if before.is_empty():
        return []
    require_whole(session, library, **scope, upto="core")
    return [LastWave(before.select("unit_id", *[_answered(column) for column in asked]))]
