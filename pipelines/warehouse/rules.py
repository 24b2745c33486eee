"""Rules that contracts write in SQL: run on the typed rows of one file, they name the rows that break them.

Belongs here: what a rule's query may read and by which name, running it, holding its result to what is asked for.
Does not belong here: any rule (contracts), what follows from a broken one (quality).

A query reads `rows`, the file's rows as staging types them, and what its rule declares: `frame` and `sample`, the
staged rows of the same wave, and `previous`, the staged rows of the file's contract in the last wave before.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from pipelines.contracts.compiler import sql_rules
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import RuleInput, SqlRule
from pipelines.contracts.surveys import Survey
from pipelines.errors import AxstatError
from pipelines.warehouse.catalogue import TABLE_SCHEMAS
from pipelines.warehouse.session import Session, quoted

# One row a broken rule and row; the shape in which `quality` takes findings.
FINDINGS: Mapping[str, pl.DataType] = {"row_number": pl.Int64(), "rule": pl.String(), "detail": pl.String()}
_OTHER_TABLE = re.compile(rf'\b(?:{TABLE_SCHEMAS})"?\s*\.|\bincoming_rows\b', re.IGNORECASE)
_LITERAL_OR_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class RuleRun:
    """What the SQL rules of a contract found in the rows of one file.

    Attributes:
        rules: the rules that were run. findings: one row a broken rule and row, columns `FINDINGS`.
        skipped: the rules that were not, each with what it reads that is not there.
    """

    rules: tuple[SqlRule, ...]
    findings: pl.DataFrame
    skipped: tuple[tuple[SqlRule, tuple[RuleInput, ...]], ...]


def rule_tables(survey: Survey, contract: str) -> Mapping[RuleInput, str]:
    """Where the rules of a contract find what they may read beside their own rows."""
    return {
        "frame": f"staging.{survey.contracts.frame}",
        "sample": f"staging.{survey.contracts.sample}",
        "previous": f"staging.{contract}",
    }


def input_wave(
    session: Session, library: ContractLibrary, name: RuleInput, table: str, survey: str, wave: int
) -> int | None:
    """The wave of which a rule of `survey` and `wave` reads a staging table; None where it has no rows."""
    first, last = (library.surveys[survey].first_wave, wave - 1) if name == "previous" else (wave, wave)
    return session.last_wave(table, survey=survey, first=first, last=last)


def run_rules(
    session: Session,
    library: ContractLibrary,
    contract: str,
    rows: pl.DataFrame,
    *,
    survey: str,
    wave: int,
    question_version: str | None = None,
) -> RuleRun:
    """Run the SQL rules of a delivery contract.

    Args:
        rows: the file's rows as the statement of the contract's staging table gives them.
        question_version: rules on columns of other versions are left out; None keeps all.

    Raises:
        AxstatError: a rule that cannot be run, or whose result is not rows of the file: with contract, rule and what
            the database says.
    """
    rules = sql_rules(library.deliveries[contract], question_version=question_version)
    tables = rule_tables(library.surveys[survey], contract)
    waves = {
        name: input_wave(session, library, name, table, survey, wave)
        for name, table in tables.items()
        if any(name in rule.reads for rule in rules)
    }
    findings, run, skipped = [pl.DataFrame(schema=FINDINGS)], [], []
    with session.shown(rows):
        for rule in rules:
            missing = tuple(name for name in rule.reads if waves[name] is None)
            if missing:
                skipped.append((rule, missing))
                continue
            run.append(rule)
            found = _offending(session, rule, contract, tables, waves, survey=survey, wave=wave)
            findings.append(_as_findings(*found, rule, contract, rows["row_number"]))
    return RuleRun(rules=tuple(run), findings=pl.concat(findings), skipped=tuple(skipped))


def _offending(
    session: Session,
    rule: SqlRule,
    contract: str,
    tables: Mapping[RuleInput, str],
    waves: Mapping[RuleInput, int | None],
    *,
    survey: str,
    wave: int,
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    if other := _OTHER_TABLE.search(_LITERAL_OR_COMMENT.sub(" ", rule.query)):
        raise _rule_error(rule, contract, f"only {', '.join(('rows', *rule.reads))}", f"a query that reads {other[0]}")
    views = ["rows as (select * from incoming_rows)"]
    views += [
        f"{name} as (select * from {quoted(tables[name])} where survey = $survey and wave = ${name}_wave)"
        for name in rule.reads
    ]
    given = {**rule.parameters, "survey": survey, "wave": wave}
    given |= {f"{name}_wave": waves[name] for name in rule.reads}
    where = f"contract {contract}, rule {rule.id}"
    try:
        # By itself first: inside the brackets below, what closes them too early could pass
        session.require_select(rule.query, given=given, where=where)
        return session.ask(
            f"with {', '.join(views)}\nselect * from (\n{rule.query}\n) as offending", given=given, where=where
        )
    except AxstatError as error:
        raise _rule_error(rule, contract, error.expected, error.got) from error


def _as_findings(
    columns: tuple[str, ...], found: list[tuple[object, ...]], rule: SqlRule, contract: str, known: pl.Series
) -> pl.DataFrame:
    if sorted(columns) not in (["row_number"], ["detail", "row_number"]):
        raise _rule_error(rule, contract, "the columns row_number and, if wanted, detail", ", ".join(columns))
    place = columns.index("row_number")
    details: dict[object, str | None] = {}
    # The database gives rows in no order of its own; a row that is named twice is one finding
    for row in sorted(found, key=repr):
        details.setdefault(row[place], None if len(row) == 1 or row[1 - place] is None else str(row[1 - place]))
    if strange := details.keys() - {*known} if details else ():
        raise _rule_error(rule, contract, "row numbers of the file", f"{len(strange)} that the file does not have")
    rows = [(number, rule.id, detail) for number, detail in details.items()]
    return pl.DataFrame(rows, schema=dict(FINDINGS), orient="row").sort("row_number")


def _rule_error(rule: SqlRule, contract: str, expected: str, got: str) -> AxstatError:
    return AxstatError(
        "rule_failed",
        where=f"contract {contract}, rule {rule.id}",
        expected=expected,
        got=got,
        hint="correct the rule's query, reads or parameters in the contract (data_contracts/deliveries)",
    )
