"""What happens to a sample in the field: who answers, what is left open, and a few plainly bad rows.

Belongs here: dispositions, answers in the contract's columns and codes, and the spoiling of a few rows. Does
not belong here: how files are written (writers), or any truth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import TableContract
from pipelines.contracts.surveys import Survey
from pipelines.synthetic.dispositions import (
    COMPLETE,
    NON_CONTACT,
    NOT_CONTACTED,
    NOT_LOCATED,
    OTHER_NON_RESPONSE,
    PARTIAL,
    REFUSAL,
)
from pipelines.synthetic.parameters import FieldworkFigures
from pipelines.synthetic.population import Population
from pipelines.synthetic.streams import Streams

_SMALLEST_REPORTED: Final = 10
_REPORTING_SPREAD: Final = 0.06

# A bad row's value. None of them is a code of any list, none a plausible number of employees.
_ABSURD_EMPLOYEES: Final = 9_999_999
_BAD_KSIC: Final = "00"
_BAD_REGION: Final = "77"
_BAD_ANSWER: Final = "7"

BAD_ROW_SCHEMA: Final = {
    "survey": pl.String,
    "wave": pl.Int64,
    "contract": pl.String,
    "row_number": pl.Int64,
    "unit_id": pl.String,
    "kind": pl.String,
}


@dataclass(frozen=True)
class Collected:
    """What the contractor has after the field.

    Attributes:
        dispositions: one row a selected unit, `unit_id` and `disposition`.
        responses: columns of the response contract for the wave's question version, as text codes (employees
            as integers), in the order of the file; bad rows included.
        bad_rows: columns of `BAD_ROW_SCHEMA`: where and how rows were spoiled; `unit_id` is the true one.
    """

    dispositions: pl.DataFrame
    responses: pl.DataFrame
    bad_rows: pl.DataFrame


class Fieldwork:
    """Field work of one survey."""

    def __init__(self, figures: FieldworkFigures, library: ContractLibrary, survey: Survey, streams: Streams) -> None:
        """Field work of `survey` under its response contract."""
        self._figures = figures
        self._survey = survey
        self._streams = streams
        self._contract = library.deliveries[survey.contracts.response]
        stages = library.classifications["ai_stages"].codes
        answer_of = {item.parent: item.code for item in library.classifications["stage_answers"].items}
        self._stage_answers = np.array([answer_of[code] for code in stages])
        self._yes_no = _answers_by_value(library, "yes_no_answers")
        self._field = _answers_by_value(library, "field_answers")
        self._divisions = np.array(sorted({row.division for row in library.ksic if row.ksic_group is not None}))
        self._regions = np.array(library.classifications["regions"].codes)

    def collect(self, population: Population, sample: pl.DataFrame) -> Collected:
        """Field work on the selected units (`sample`: the selected rows that the sampler returns)."""
        wave = population.wave
        dispositions = self._dispositions(sample, self._streams.of(f"{population.survey} dispositions", wave))
        answering = sample.with_columns(dispositions).filter(pl.col("disposition").is_in([COMPLETE, PARTIAL]))
        rng = self._streams.of(f"{population.survey} answers", wave)
        responses = self._responses(population, answering, rng)
        # Files come in the order in which questionnaires came back, which has nothing to do with the units.
        order = rng.permutation(responses.height)
        responses, units = responses[order], answering[order]
        spoiled, bad_rows = self._spoil(
            responses,
            np.flatnonzero((units["disposition"] == COMPLETE).to_numpy()),
            self._streams.of(f"{population.survey} bad rows", wave),
        )
        return Collected(
            dispositions=sample.select("unit_id").with_columns(dispositions),
            responses=spoiled,
            bad_rows=bad_rows.with_columns(
                survey=pl.lit(population.survey), wave=pl.lit(wave), contract=pl.lit(self._contract.name)
            ).select(pl.col(name).cast(kind) for name, kind in BAD_ROW_SCHEMA.items()),
        )

    def _dispositions(self, sample: pl.DataFrame, rng: np.random.Generator) -> pl.Series:
        figures = self._figures
        count = sample.height
        not_located = rng.random(count) < sample["not_located"].to_numpy()
        not_contacted = rng.random(count) < figures.not_contacted
        answers = ndtr(sample["response_effect"].to_numpy()) < sample["responds"].to_numpy()
        partial = rng.random(count) < figures.partial
        reason = rng.random(count)
        final = np.select(
            [
                not_located,
                not_contacted,
                sample["out_of_scope"].is_not_null().to_numpy(),
                answers & partial,
                answers,
                reason < figures.refusal,
                reason < figures.refusal + figures.non_contact,
            ],
            [
                np.full(count, NOT_LOCATED),
                np.full(count, NOT_CONTACTED),
                sample["out_of_scope"].fill_null("").to_numpy(),
                np.full(count, PARTIAL),
                np.full(count, COMPLETE),
                np.full(count, REFUSAL),
                np.full(count, NON_CONTACT),
            ],
            OTHER_NON_RESPONSE,
        )
        return pl.Series("disposition", final, dtype=pl.String)

    # --- answers -------------------------------------------------------------------------------------------

    def _responses(self, population: Population, units: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        question_version = self._survey.question_version(population.wave)
        columns = [column.name for column in self._contract.columns_for(question_version)]
        answers: dict[str, NDArray[np.object_] | pl.Series] = {
            self._survey.unit_id_column: units["unit_id"],
            "employees": self._reported_employees(units, rng),
        }
        if "ksic" in columns:
            answers["ksic"] = self._misreported(
                units["ksic_division"], self._divisions, self._figures.division_differs, rng
            )
            answers["region"] = self._misreported(units["region"], self._regions, self._figures.region_differs, rng)
        battery = [f"tech_{code}" for code in population.technologies] if population.list_asked else ["ai_use"]
        fields = [name for name in columns if name.startswith("field_")]
        true = self._true_answers(units, battery, list_asked=population.list_asked)
        missing, reached = self._missing(units, len(battery), rng)
        given = np.where(missing == "", true, missing)
        given[missing == "-"] = None
        answers.update({name: given[:, index] for index, name in enumerate(battery)})
        obstacle = self._obstacles(units.height, rng)
        obstacle[reached < len(battery) + 1] = None
        answers["obstacle"] = obstacle
        whole = np.where((missing == missing[:, :1]).all(axis=1), missing[:, 0], "")
        for name in fields:
            answers[name] = self._field_answers(units[name], whole, reached > len(battery), rng)
        return pl.DataFrame(
            [
                values.alias(name)
                if isinstance(values := answers[name], pl.Series)
                else pl.Series(name, values.tolist(), dtype=pl.String)
                for name in columns
            ]
        )

    def _reported_employees(self, units: pl.DataFrame, rng: np.random.Generator) -> pl.Series:
        """Employment as the unit reports it: the register's, or something near."""
        register = units["employment"].to_numpy()
        near = np.rint(register * np.exp(_REPORTING_SPREAD * rng.standard_normal(register.size)))
        differs = rng.random(register.size) < self._figures.employees_differ
        reported = np.where(differs, np.maximum(near, _SMALLEST_REPORTED), register)
        return pl.Series(reported.astype(np.int64))

    def _misreported(
        self, register: pl.Series, codes: NDArray[np.str_], share: float, rng: np.random.Generator
    ) -> NDArray[np.object_]:
        other = rng.choice(codes, size=len(register))
        differs = rng.random(len(register)) < share
        return np.where(differs, other, register.to_numpy()).astype(object)

    def _true_answers(self, units: pl.DataFrame, battery: list[str], *, list_asked: bool) -> NDArray[np.object_]:
        if list_asked:
            codes = self._stage_answers[units.select(battery).to_numpy()]
        else:
            codes = self._yes_no[units["ai_adoption"].to_numpy().astype(int)][:, None]
        return np.asarray(codes, dtype=np.object_)

    def _missing(
        self, units: pl.DataFrame, questions: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
        """What stands instead of the answers to the AI questions, and how many questions were reached.

        Almost all of it hits the whole battery and has nothing to do with the truth. Where single answers are
        missing the unit's adoption may be known all the same (some technology in operation), so these are
        few: they push the answered rate up by less than 0.1 percentage points.

        Returns:
            codes, shape (n, questions): '' answered, '-' left blank, else a missing code; and the number of
            questions reached, shape (n,): `questions` + 1 is the obstacle, `questions` + 2 all.
        """
        figures, count = self._figures, units.height
        dont_know, refused = self._missing_code("dont_know"), self._missing_code("refused")
        codes = np.full((count, questions), "", dtype=object)
        kinds = [
            (figures.all_dont_know, dont_know),
            (figures.all_refused, refused),
            (figures.all_blank, "-"),
        ]
        draw, bound = rng.random(count), 0.0
        for share, code in kinds:
            codes[(bound <= draw) & (draw < bound + share)] = code
            bound += share
        for share, code in ((figures.one_dont_know, dont_know), (figures.one_refused, refused)):
            hit = np.flatnonzero((bound <= draw) & (draw < bound + share))
            codes[hit, rng.integers(questions, size=hit.size)] = code
            bound += share
        reached = np.full(count, questions + 2, dtype=np.int64)
        place = rng.random(count)
        stopped = rng.integers(1, max(questions, 2), size=count)
        partial = (units["disposition"] == PARTIAL).to_numpy()
        before, within = figures.partial_before_battery, figures.partial_in_battery
        reached[partial] = questions
        reached[partial & (place < before)] = 0
        inside = partial & (before <= place) & (place < before + within)
        reached[inside] = stopped[inside]
        codes[np.arange(questions) >= reached[:, None]] = "-"
        return codes, reached

    def _missing_code(self, kind: str) -> str:
        """The code for don't know or refused in the AI questions; all of them share one."""
        for column in self._contract.columns:
            if column.name == "ai_use" or column.name.startswith("tech_"):
                return next(code for code, stands_for in column.missing_codes.items() if stands_for == kind)
        raise AssertionError(f"contract {self._contract.name} has no AI question")

    def _obstacles(self, count: int, rng: np.random.Generator) -> NDArray[np.object_]:
        figures = self._figures
        codes = list(figures.obstacles)
        weights = np.array(list(figures.obstacles.values()))
        chosen = rng.choice(np.array(codes), size=count, p=weights / weights.sum()).astype(object)
        missing = self._contract.column("obstacle").missing_codes
        draw, bound = rng.random(count), 0.0
        for kind, share in (("dont_know", figures.obstacle_dont_know), ("refused", figures.obstacle_refused)):
            code = next(code for code, stands_for in missing.items() if stands_for == kind)
            chosen[(bound <= draw) & (draw < bound + share)] = code
            bound += share
        chosen[(bound <= draw) & (draw < bound + figures.obstacle_blank)] = None
        return chosen

    def _field_answers(
        self,
        truth: pl.Series,
        whole: NDArray[np.object_],
        reached: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> NDArray[np.object_]:
        """Answers for one field; blank where it is not served. Blank AI questions: blank here too."""
        figures = self._figures
        served = truth.is_not_null().to_numpy()
        given = self._field[truth.fill_null(value=False).to_numpy().astype(int)].astype(object)
        draw = rng.random(len(truth))
        given[draw < figures.field_dont_know + figures.field_refused] = self._missing_code("refused")
        given[draw < figures.field_dont_know] = self._missing_code("dont_know")
        given = np.where(whole == "", given, whole)
        given[~served | ~reached | (whole == "-")] = None
        return given

    # --- bad rows ------------------------------------------------------------------------------------------

    def _spoil(
        self, responses: pl.DataFrame, candidates: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Spoil one row in each way that the file's columns allow, and repeat one row at the end."""
        identifier = self._survey.unit_id_column
        question = next(name for name in responses.columns if name.startswith(("tech_", "ai_use")))
        changes: dict[str, tuple[str, pl.Expr]] = {
            "negative_employees": ("employees", -pl.col("employees")),
            "absurd_employees": ("employees", pl.lit(_ABSURD_EMPLOYEES, dtype=pl.Int64)),
            "unknown_answer": (question, pl.lit(_BAD_ANSWER)),
            "unknown_ksic": ("ksic", pl.lit(_BAD_KSIC)),
            "unknown_region": ("region", pl.lit(_BAD_REGION)),
            "digit_too_many": (identifier, pl.col(identifier) + "1"),
        }
        possible = {kind: change for kind, change in changes.items() if change[0] in responses.columns}
        rows = rng.choice(candidates, size=len(possible) + 1, replace=False)
        spoiled = responses.with_row_index("row")
        for row, (name, value) in zip(rows, possible.values(), strict=False):
            spoiled = spoiled.with_columns(
                pl.when(pl.col("row") == int(row)).then(value).otherwise(pl.col(name)).alias(name)
            )
        spoiled = spoiled.drop("row")
        repeated = int(rows[-1])
        numbers = [*(rows[:-1] + 1).tolist(), responses.height + 1]
        bad_rows = pl.DataFrame(
            {
                "row_number": numbers,
                "unit_id": responses[identifier][rows.tolist()],
                "kind": [*possible, "repeated_row"],
            }
        )
        return pl.concat([spoiled, spoiled[[repeated]]]), bad_rows.sort("row_number")


def _answers_by_value(library: ContractLibrary, name: str) -> NDArray[np.object_]:
    """Codes of a yes/no list: position 0 holds the code for no, position 1 that for yes."""
    code_of = {item.properties["value"]: item.code for item in library.classifications[name].items}
    return np.array([code_of["0"], code_of["1"]], dtype=object)


def sample_rows(
    contract: TableContract, unit_id_column: str, sample: pl.DataFrame, dispositions: pl.DataFrame
) -> pl.DataFrame:
    """The sample file: all selected units in the order of their number, in the contract's columns."""
    return (
        sample.join(dispositions, on="unit_id", how="left", maintain_order="left")
        .rename({"unit_id": unit_id_column})
        .select(contract.column_names)
    )


def frame_rows(contract: TableContract, unit_id_column: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame file: all units in the order of their number, in the contract's columns."""
    names = {"unit_id": unit_id_column, "employment": "employees", "ksic_division": "ksic"}
    return (
        frame.with_columns(pl.when("take_all").then(pl.lit("Y")).otherwise(pl.lit("N")).alias("take_all"))
        .rename(names, strict=False)
        .select(contract.column_names)
    )
