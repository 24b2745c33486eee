"""A made-up release of three files, and what is told of its cells."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.release.explain import explain

CELL = "rate/industry/2022/AX1"
HASH = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("answers", "list")}


def table(reads: list[str], key: list[str], maker: str) -> dict:
    made_by = [{"kind": "statement", "name": maker, "file": f"sql/{maker}.sql", "sha256": "0" * 64}]
    return {"title_en": maker, "title_ko": maker, "contract_version": "1.2.0", "key": key, "made_by": made_by,
            "reads": reads}  # fmt: skip


def release(published: Path, name: str, estimate: float) -> Path:
    folder = published / name
    (folder / "parquet").mkdir(parents=True)
    rates = pl.DataFrame(
        {"survey": ["industry", "public"], "wave": [2022, 2022], "code": ["AX1", "P01"], "estimate": [estimate, None],
         "se": [0.01, None], "n": [10, 0]}
    )  # fmt: skip
    rates.write_parquet(folder / "parquet" / "rate.parquet")
    pl.DataFrame(
        {"survey": ["industry"] * 3 + ["public"], "wave": [2022, 2022, 2022, 2022], "step": ["base"] * 4,
         "diagnostic": ["n", "sum", "cv", "n"], "value": [10.0, 99.0, 0.5, 3.0]}
    ).write_parquet(folder / "parquet" / "weight_diagnostic.parquet")  # fmt: skip
    tables = {
        "mart.rate": table(["staging.answers", "staging.list"], ["survey", "wave", "code"], "mart.rate"),
        "staging.answers": table(["raw.answers", "raw.edited_answers"], [], "staging.answers"),
        "staging.list": table(["raw.list"], [], "staging.list"),
        **{f"raw.{one}": table([], [], f"raw.{one}") for one in ("answers", "edited_answers", "list")},
    }
    (folder / "provenance.json").write_text(json.dumps({"tables": tables}), encoding="utf-8")
    figures = (
        f'<figure id="dots" class="one" data-cells="{CELL} rate/public/2022/P01"><p>Figure {name}-F01</p></figure>'
        f'<figure id="sum" class="one" data-cells=""><span>Figure {name}-F02</span></figure>'
    )
    (folder / "report.en.html").write_text(figures, encoding="utf-8")
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.*")
        if path.is_file()
    }
    sent = [("industry", "answers", 12), ("public", "list", 5)]
    manifest = {
        "release": name, "synthetic": True, "publication_date": "2022-12-21", "content_sha256": "c" * 64,
        "made_with": {"axstat": "1", "git_revision": "a" * 40, "lock_sha256": "b" * 64},
        "files": files,
        "deliveries": [
            {"survey": survey, "wave": 2022, "contract": contract, "delivery": f"{survey}-2022", "status": "current",
             "file_name": f"{contract}.csv", "file_sha256": HASH[contract], "rows_in": rows}
            for survey, contract, rows in sent
        ],
        "rows": {"balance": [
            {"survey": survey, "wave": 2022, "contract": contract, "rows_in": rows, "core": rows - 2, "quarantined": 2,
             "rejected": 0, "superseded": 0}
            for survey, contract, rows in sent
        ]},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture
def published(tmp_path: Path) -> Path:
    release(tmp_path, "2022.1", 0.25)
    release(tmp_path, "2022.2", 0.5)
    return tmp_path


def test_a_cell_is_told_with_everything_behind_it(published: Path) -> None:
    found = explain(published, f"2022.1/{CELL}")
    assert found.id == f"2022.1/{CELL}"
    [cell] = found.cells
    assert cell.values == {"estimate": 0.25, "se": 0.01, "n": 10}
    # Nearest first, and nothing of what the other survey delivered
    assert [step.table for step in found.steps] == ["mart.rate", "staging.answers", "raw.answers", "raw.edited_answers"]
    assert found.steps[0].reads == ("staging.answers",)
    assert [row["contract"] for row in found.deliveries] == ["answers"]
    assert [(row["diagnostic"], row["value"]) for row in found.weights] == [("n", 10.0), ("sum", 99.0)]
    told = str(found)
    for part in (
        "SYNTHETIC",
        "estimate: 0.25",
        "statement mart.rate, sql/mart.rate.sql, sha256 " + "0" * 64,
        "contract 1.2.0",
        f"industry-2022/answers.csv: answers, 12 rows, current, sha256 {HASH['answers']}",
        "12 in = 10 used + 2 quarantined + 0 rejected + 0 superseded",
        "after base: sum 99.0",
        "git revision " + "a" * 40,
        "lock file sha256 " + "b" * 64,
    ):
        assert part in told
    assert "list.csv" not in told


def test_without_a_release_it_is_the_latest(published: Path) -> None:
    found = explain(published, CELL)
    assert (found.id, found.cells[0].values["estimate"]) == (f"2022.2/{CELL}", 0.5)


@pytest.mark.parametrize("asked", ["2022.1-F01", "2022.1/dots"])
def test_a_figure_is_the_cells_it_is_drawn_from(published: Path, asked: str) -> None:
    found = explain(published, asked)
    assert [cell.id for cell in found.cells] == [CELL, "rate/public/2022/P01"]
    assert [row["contract"] for row in found.deliveries] == ["answers", "list"]
    assert "estimate: not there" in str(found)


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        ("2022.1/rate/industry/2022", "incomplete_id", "rate/industry/2022/AX1"),
        ("2022.1/rate/industry/2022/AX9", "unknown_id", "code: one of AX1"),
        ("2022.1/rate/industry/2021/AX1", "unknown_id", "wave: one of 2022"),
        ("2022.1/nothing", "unknown_id", "figures dots, sum"),
        ("2022.1-F02", "figure_without_cells", "2022.1/sum"),
        ("2020.1/rate/industry/2022/AX1", "no_vintage", "2022.1, 2022.2"),
    ],
)
def test_what_cannot_be_told_says_what_can(published: Path, asked: str, code: str, told: str) -> None:
    with pytest.raises(AxstatError, match=code) as raised:
        explain(published, asked)
    assert told in str(raised.value)


@pytest.mark.parametrize("name", ["parquet/rate.parquet", "provenance.json", "parquet/weight_diagnostic.parquet"])
def test_a_file_that_is_not_the_published_one_explains_nothing(published: Path, name: str) -> None:
    path = published / "2022.1" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(AxstatError, match="published_file_changed"):
        explain(published, f"2022.1/{CELL}")


def test_where_nothing_is_published_there_is_nothing_to_tell(tmp_path: Path) -> None:
    with pytest.raises(AxstatError, match="nothing_published"):
        explain(tmp_path, CELL)
