"""One small wave, run from good files, and a second delivery that corrects one of them: good or broken.

Belongs here: how a case is laid out, run through the pipeline's own assets and looked at. Does not belong here: the
cases.
"""

import hashlib
import inspect
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import dagster as dg
import polars as pl

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.intake.delivery import read_delivery_file
from pipelines.intake.manifest import find_deliveries, read_manifest
from pipelines.orchestration.assets.deliveries import delivery_assets
from pipelines.orchestration.assets.staging import staging_assets
from pipelines.orchestration.partitions import wave_partitions
from pipelines.private_folders import keep_private
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from tests.integration.broken.formats import FORMATS, Grid

SURVEY, WAVE = "industry", 2022
FIRST, SECOND = "industry-2022", "industry-2022-2"
RESPONSE, SAMPLE, FRAME = "industry_response", "industry_sample", "business_frame"
SCOPE = {"survey": SURVEY, "wave": WAVE}
SEED, SCALE = 20240926, 0.01
# What a wave holds when it is refused must be what it held before
KEPT = ("core.frame", "core.sample", "core.units", "core.unit_measure")
_CORE_ONLY = ("core.", "meta.")


@dataclass(frozen=True)
class Accepted:
    """Every row reaches core."""


@dataclass(frozen=True)
class Quarantined:
    """So many rows, or such a part of them, are set aside, and these are the rules they break; others reach core."""

    rows: int | Fraction
    rules: frozenset[str]

    def of(self, sent: int) -> int:
        return self.rows if isinstance(self.rows, int) else int(self.rows * sent)


@dataclass(frozen=True)
class Rejected:
    """The wave is refused for exactly these codes, and stays as it was. `registered`: the register says so of the
    file; a delivery whose manifest cannot be followed never gets there."""

    codes: frozenset[str]
    registered: bool = True


@dataclass(frozen=True)
class Ignored:
    """The wave is run without the delivery. A command, where a person is there to mend it, refuses it for these codes;
    none: it is of no concern."""

    codes: frozenset[str]


def quarantined(rows: int | Fraction, *rules: str) -> Quarantined:
    return Quarantined(rows, frozenset(rules))


def rejected(*codes: str) -> Rejected:
    return Rejected(frozenset(codes))


def unregistered(*codes: str) -> Rejected:
    return Rejected(frozenset(codes), registered=False)


def ignored(*codes: str) -> Ignored:
    return Ignored(frozenset(codes))


Expected = Accepted | Quarantined | Rejected | Ignored


@dataclass
class Delivery:
    """The second delivery while it is made. `files` are written into its folder, then the manifest, unless it is
    None; the file that corrects is `name`."""

    home: Settings
    grid: Grid
    name: str
    files: dict[str, bytes]
    entry: dict[str, object]
    manifest: dict[str, object]
    text: bytes | None = None
    folder_name: str = SECOND

    @property
    def folder(self) -> Path:
        return self.home.deliveries_dir / self.folder_name

    @property
    def data(self) -> bytes:
        return self.files[self.name]

    @data.setter
    def data(self, content: bytes) -> None:
        self.files[self.name] = content

    def rename(self, name: str) -> None:
        """Call the file otherwise, in the folder and in the manifest."""
        self.files[name] = self.files.pop(self.name)
        self.name = name
        self.entry["file"] = name


@dataclass(frozen=True)
class Case:
    """One broken delivery and what is to become of it.

    Attributes:
        cells: changes the grid before it is written. data: changes the bytes of the file. entry: what else the manifest
            says of the file. delivery: changes anything else before it is laid down; written: what lies there then.
        quick: it is run by default, not only among the slow tests.
    """

    name: str
    form: str
    expected: Expected
    cells: Callable[[Grid], object] | None = None
    data: Callable[[bytes], bytes] | None = None
    entry: Mapping[str, object] = field(default_factory=dict)
    delivery: Callable[[Delivery], object] | None = None
    written: Callable[[Delivery], object] | None = None
    contract: str = RESPONSE
    quick: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a case: the violations, none if it was taken, and tables of the wave afterwards.

    `at_command`: what a command says of the deliveries before it runs any wave. `failed_checks`: check -> its rows.
    """

    violations: tuple[Violation, ...]
    balance: pl.DataFrame
    quarantine: pl.DataFrame
    register: pl.DataFrame
    staged: Mapping[str, int]
    kept: tuple[pl.DataFrame, ...]
    failed_checks: Mapping[str, int]
    at_command: tuple[Violation, ...]


class SmallWave:
    """A data home with one good delivery of one survey and wave, run through to core."""

    def __init__(self, folder: Path) -> None:
        self.settings = load_settings({"AXSTAT_HOME": str(folder / "home")})
        self.library: ContractLibrary = load_library(self.settings.contracts_dir)
        self.warehouse = Warehouse(self.settings.warehouse_file, SqlCatalogue(self.settings.sql_dir), self.library)
        survey, waves = self.library.surveys[SURVEY], wave_partitions(2021)
        self._assets = [*delivery_assets(survey, waves), *staging_assets(survey, waves)]
        keep_private(self.settings)
        made = folder / "made"
        write_deliveries(made, self.library, seed=SEED, waves=(WAVE,), scale=SCALE)
        self.manifest = json.loads((made / "deliveries" / FIRST / "manifest.json").read_text(encoding="utf-8"))
        self.grids = {
            contract: self._grid(made / "deliveries" / FIRST, contract) for contract in (RESPONSE, SAMPLE, FRAME)
        }
        self._first()
        spoilt = self._materialise()
        assert not spoilt, spoilt
        # The rows that the synthetic country spoils on purpose are left out: what is wrong later, a case has done
        with self.warehouse.session() as session:
            bad = set(session.table("raw.quarantine", where=SCOPE)["row_number"])
        response = self.grids[RESPONSE]
        response.rows = [row for number, row in enumerate(response.rows, 1) if number not in bad]
        self.settings.warehouse_file.unlink()
        self._first()
        self.good = self._outcome(self._materialise())
        assert not self.good.violations
        assert self.good.quarantine.is_empty()
        self._template = folder / "good.duckdb"
        shutil.copyfile(self.settings.warehouse_file, self._template)

    def _grid(self, folder: Path, contract: str) -> Grid:
        manifest = read_manifest(folder)
        [entry] = [one for one in manifest.files if one.contract == contract]
        raw = read_delivery_file(manifest, entry, self.library.deliveries[contract], survey=SURVEY, wave=WAVE).frame
        columns = [
            name for name in self.library.deliveries[contract].column_names if raw[name].null_count() < raw.height
        ]
        as_listed = {"ksic": 2, "region": 2, "obstacle": 2}
        table = raw.select(
            pl.col(name).str.zfill(as_listed[name]) if name in as_listed else pl.col(name) for name in columns
        ).with_columns(pl.col("business_number").str.replace_all("-", ""))
        return Grid(columns, list(columns), [list(row) for row in table.rows()])

    def _first(self) -> None:
        """Lay down the good delivery: all three files as plain CSV, which takes the least time to read."""
        folder = self.settings.deliveries_dir / FIRST
        folder.mkdir(exist_ok=True)
        form = FORMATS["csv-utf-8"]
        entries = []
        for contract, grid in self.grids.items():
            data = form.write(grid)
            (folder / f"{contract}.csv").write_bytes(data)
            entries.append(entry_of(f"{contract}.csv", contract, data, len(grid.rows)) | form.entry)
        manifest = self.manifest | {"files": entries}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")

    def _at_command(self) -> tuple[Violation, ...]:
        try:
            find_deliveries(self.settings.deliveries_dir)
        except ViolationsError as error:
            return error.violations
        return ()

    def run(self, case: Case) -> tuple[Delivery, Outcome]:
        """Put the wave back to what it was, lay the case's delivery down, and run the wave up to core."""
        for folder in (self.settings.deliveries_dir, self.settings.edits_dir):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        self._first()
        shutil.copyfile(self._template, self.settings.warehouse_file)
        delivery = self._lay_down(case)
        return delivery, self._outcome(self._materialise())

    def _lay_down(self, case: Case) -> Delivery:
        form = FORMATS[case.form]
        grid = form.with_headers(self.grids[case.contract], self.library.deliveries[case.contract])
        if case.cells is not None:
            case.cells(grid)
        name = f"{case.contract}.{form.ending}"
        files = {name: form.write(grid), **form.beside(grid)}
        delivery = Delivery(
            home=self.settings,
            grid=grid,
            name=name,
            files=files,
            entry={"file": name, "contract": case.contract, "rows": len(grid.rows), **form.entry, **case.entry},
            manifest=self.manifest | {"delivery": SECOND, "sequence": 2},
        )
        if case.data is not None:
            delivery.data = case.data(delivery.data)
        delivery.entry["sha256"] = hashlib.sha256(delivery.data).hexdigest()
        if layout := form.entry.get("layout"):
            delivery.entry["layout_sha256"] = hashlib.sha256(files[str(layout)]).hexdigest()
        delivery.manifest["files"] = [delivery.entry]
        if case.delivery is not None:
            case.delivery(delivery)
        delivery.folder.mkdir(exist_ok=True)
        for name, content in delivery.files.items():
            path = delivery.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        text = delivery.text if delivery.text is not None else json.dumps(delivery.manifest).encode()
        (delivery.folder / "manifest.json").write_bytes(text)
        if case.written is not None:
            case.written(delivery)
        return delivery

    def _materialise(self) -> tuple[Violation, ...]:
        """Run the assets up to core. Only errors for people are caught: any other is a finding."""
        resources = {"settings": self.settings, "library": self.library, "warehouse": self.warehouse}
        try:
            for asset in self._assets:
                wanted = {name: one for name, one in resources.items() if name in asset.required_resource_keys}
                # The step itself, without what is measured of it in a run
                step = inspect.unwrap(asset.op.compute_fn.decorated_fn)
                with dg.build_asset_context(partition_key=str(WAVE)) as context:
                    made = step(context, **wanted)
                    if inspect.isgenerator(made):
                        list(made)
        except ViolationsError as error:
            return error.violations
        except AxstatError as error:
            return (Violation(error.code, error.where, error.expected, error.got, error.hint),)
        return ()

    def _outcome(self, violations: Sequence[Violation]) -> Outcome:
        with self.warehouse.session() as session:
            checks = [
                statement.table
                for statement in self.warehouse.catalogue.layer("checks")
                if statement.severity == "error"
                and all(table.startswith(_CORE_ONLY) and table != "core.weights" for table in statement.reads)
            ]
            found = {name: session.check(name, survey=SURVEY, wave=WAVE).height for name in checks}
            return Outcome(
                violations=tuple(violations),
                balance=session.table("meta.row_balance", where=SCOPE),
                quarantine=session.table("raw.quarantine", where=SCOPE),
                register=session.table("meta.delivery_file", where=SCOPE),
                staged={
                    name: session.table(f"staging.{name}", where=SCOPE, columns=("row_number",)).height
                    for name in (RESPONSE, SAMPLE, FRAME)
                },
                kept=tuple(session.table(name, where=SCOPE) for name in KEPT),
                failed_checks={name: rows for name, rows in found.items() if rows},
                at_command=self._at_command(),
            )


def entry_of(name: str, contract: str, data: bytes, rows: int) -> dict[str, object]:
    """What a manifest says of a file."""
    return {"file": name, "contract": contract, "sha256": hashlib.sha256(data).hexdigest(), "rows": rows}
