"""The `axstat` command: parse, call, print.

Belongs here: arguments, and which call each command makes. Does not belong here: any logic, how results and errors look
in a terminal (terminal); heavy imports stay inside the commands so that `axstat --help` answers at once.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.settings import load_settings
from pipelines.terminal import (
    print_frame,
    print_notes,
    print_tables,
    progress,
    readable_errors,
    show_tracebacks,
    write_or_print,
)

app = typer.Typer(
    name="axstat",
    help="AI adoption in Korea against the national targets: from delivered survey files to a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Help as plain text: drawing it would import all of rich first
    rich_markup_mode=None,
)

_Language = Annotated[Literal["en", "ko"], typer.Option(help="Language of what is told.")]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options that stand before every command."""
    show_tracebacks(debug)


@app.command()
def synth(
    seed: Annotated[int, typer.Option(help="Seed of the made-up country.")] = 20240926,
    scale: Annotated[float, typer.Option(help="Size of frame and sample; 1 is the real size.")] = 1.0,
    if_empty: Annotated[bool, typer.Option("--if-empty", help="Do nothing if deliveries exist.")] = False,
) -> None:
    """Write deliveries of a made-up country. Both surveys, waves 2021 to 2025, below the data home."""
    with readable_errors():
        from pipelines.synthetic.country import synthesise

        settings = load_settings()
        synthesise(settings, seed=seed, scale=scale, only_if_empty=if_empty, say=typer.echo)


@app.command()
def fetch(
    survey: Annotated[str | None, typer.Option(help="Deliveries of this survey only.")] = None,
) -> None:
    """Fetch new deliveries from the sources. Into the deliveries folder, as data_contracts/sources.yaml says.

    Exit code 0: all that is new was taken; 1: some of it was refused or failed.
    """
    with readable_errors():
        from pipelines.contracts.library import load_library
        from pipelines.intake.sources.fetch import fetch as fetch_from
        from pipelines.intake.sources.fetch import sources_of

        settings = load_settings()
        sources = sources_of(load_library(settings.contracts_dir), survey=survey)
        if not sources:
            typer.echo("sources.yaml names no source: deliveries are what is dropped into the deliveries folder")
        seen = fetch_from(sources, settings.deliveries_dir, environment=settings.environment, survey=survey)
        for one in seen:
            typer.echo(str(one), err=one.state in ("refused", "failed"))
        if any(one.state in ("refused", "failed") for one in seen):
            raise typer.Exit(1)


@app.command()
def run(
    wave: Annotated[int | None, typer.Option(help="The survey's reference year.")] = None,
    all_waves: Annotated[bool, typer.Option("--all", help="Every wave that has deliveries.")] = False,
) -> None:
    """Take in deliveries, estimate, and publish. One wave, or all of them in order."""
    if (wave is None) == (not all_waves):
        typer.echo("error: say which wave: --wave 2025, or --all", err=True)
        raise typer.Exit(2)
    with readable_errors():
        from pipelines.orchestration.runs import run_waves

        settings = load_settings()
        with progress() as show:
            releases = run_waves(settings, None if wave is None else [wave], on_event=show)
        for made in releases:
            typer.echo(str(made))
        if wave is not None:
            from pipelines.release.overview import overview, stale_waves

            if stale := stale_waves(overview(settings)):
                named = ", ".join(map(str, stale))
                typer.echo(f"stale now: {named}, which rest on waves that changed; `axstat run --all` makes them anew")


@app.command()
def release(
    wave: Annotated[int, typer.Option(help="The survey's reference year.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge, and publish nothing.")] = False,
    pre_access: Annotated[bool, typer.Option("--pre-access", help="Make the folder of the pre-access list.")] = False,
    override: Annotated[list[str] | None, typer.Option(help="A rule that shall not hold this release back.")] = None,
    name: Annotated[str | None, typer.Option(help="Who answers for the override.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is printed in the report.")] = None,
    reason_ko: Annotated[str | None, typer.Option(help="The same for the Korean report.")] = None,
) -> None:
    """Judge the release of a wave that ran, and publish it. Or refuse it, with the full list of reasons.

    Exit code 0: published (or, with --dry-run, nothing in the way), 1: refused. Rules: reports/methodology/release.md.
    """
    if bool(override) != bool(name and reason) or (dry_run and pre_access):
        told = "choose one of --dry-run and --pre-access" if dry_run and pre_access else (
            "an override needs all three: --override RULE --name WHO --reason WHY"
        )  # fmt: skip
        typer.echo(f"error: {told}", err=True)
        raise typer.Exit(2)
    with readable_errors():
        from pipelines.release.gate import told_overrides, utc_now
        from pipelines.release.pre_access import open_to_listed
        from pipelines.release.publish import next_vintage, publish, rehearse
        from pipelines.release.reading import read_built

        settings = load_settings()
        library, given = read_built(settings, wave)
        vintage = str(next_vintage(settings.published_dir, wave))
        overrides = told_overrides(vintage, override or (), name=name or "", reason=reason or "", reason_ko=reason_ko)
        if dry_run:
            verdict = rehearse(settings, library, given, now=utc_now(), overrides=overrides)
            typer.echo(str(verdict))
            raise typer.Exit(1 if verdict.reasons else 0)
        if pre_access:
            typer.echo(str(open_to_listed(settings, library, given, now=utc_now(), overrides=overrides)))
            return
        published = publish(settings, library, given, now=utc_now(), overrides=overrides)
        typer.echo(f"{'published' if published.new else 'unchanged, still'} {published.vintage}\n  {published.folder}")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A release, such as 2025.1.", show_default=False)],
    after: Annotated[str, typer.Argument(help="A later one, such as 2025.2.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Write every difference to this .parquet, .csv or .json file.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the largest changes to show.")] = 10,
) -> None:
    """Show what changed between two releases, and why. By table, with the largest changes in standard errors."""
    with readable_errors():
        from pipelines.contracts.library import load_library
        from pipelines.estimation.output import check_output, write_table
        from pipelines.release.difference import compare_releases

        check_output(out)
        settings = load_settings()
        found = compare_releases(settings.published_dir, before, after, load_library(settings.contracts_dir))
        typer.echo(found.told(top=top))
        if out is not None:
            write_table(found.cells, out)


@app.command()
def replay(vintage: Annotated[str, typer.Argument(help="A release, such as 2025.1.", show_default=False)]) -> None:
    """Rebuild a release from what it rests on and compare every file. Touches neither warehouse nor releases.

    Exit code 0: all files equal, 1: not.
    """
    with readable_errors():
        from pipelines.orchestration.replays import replay as rebuild
        from pipelines.release.vintages import parse_vintage

        with progress() as show:
            found = rebuild(load_settings(), parse_vintage(vintage), on_event=show)
        typer.echo(str(found))
    raise typer.Exit(0 if found.equal else 1)


@app.command()
def explain(
    asked: Annotated[
        str, typer.Argument(metavar="ID", help="Of a cell or figure, such as 2025.1-F03.", show_default=False)
    ],
) -> None:
    """Show where a published number is from. Statements, functions, deliveries, rows, weights, program.

    Ids: reports/methodology/provenance.md. Without a release before it, of the latest.
    """
    with readable_errors():
        from pipelines.release.explain import explain as chain

        typer.echo(str(chain(load_settings().published_dir, asked)))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The file, as it would be delivered.", show_default=False)],
    survey: Annotated[str, typer.Option(help="industry or public.", show_default=False)],
    wave: Annotated[int, typer.Option(help="The survey's reference year.", show_default=False)],
    contract: Annotated[str | None, typer.Option(help="The file's contract; left out: the answers.")] = None,
    language: _Language = "en",
    form: Annotated[
        list[str] | None, typer.Option(help="As in a manifest, e.g. encoding=cp949, header_rows=2, sheet=응답.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the letter to this .html file.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all findings to this .json file.")] = None,
) -> None:
    """Check a file before it is delivered. Exit code 0: accepted, 3: with remarks, 4: rejected."""
    with readable_errors():
        from pipelines.contracts.library import load_library
        from pipelines.estimation.output import check_output
        from pipelines.intake.form import parse_form
        from pipelines.precheck.letter import as_json, as_letter, as_text
        from pipelines.precheck.run import check_file

        for path, suffix in ((html, ".html"), (json, ".json")):
            check_output(path, suffixes=(suffix,))
        settings = load_settings()
        declared = parse_form(form, where="--form") if form else None
        library = load_library(settings.contracts_dir)
        found = check_file(file, settings, library, survey=survey, wave=wave, contract=contract, form=declared)
        typer.echo(as_text(found, language))
        if html is not None:
            page = as_letter(found, language, template_dir=settings.annual_dir)
            html.write_text(page, encoding="utf-8")
        if json is not None:
            json.write_text(as_json(found), encoding="utf-8")
    raise typer.Exit({"accept": 0, "remarks": 3, "reject": 4}[found.verdict])


@app.command()
def codebook(
    file: Annotated[Path, typer.Argument(help="A data file with labels, or a codebook.", show_default=False)],
    survey: Annotated[str, typer.Option(help="industry or public.", show_default=False)],
    wave: Annotated[int, typer.Option(help="The survey's reference year.", show_default=False)],
    contract: Annotated[str | None, typer.Option(help="The file's contract; left out: the answers.")] = None,
    against: Annotated[
        str | None, typer.Option(help="contract, last, or a file; left out: all that is known of the file.")
    ] = None,
    language: _Language = "en",
    form: Annotated[list[str] | None, typer.Option(help="As in a manifest, e.g. header_rows=2, sheet=코드북.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the page to this .html file.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all differences to this .json file.")] = None,
) -> None:
    """Compare a file's codebook with contract and last wave. Renamed, new and vanished variables; texts, codes, types.

    Exit code 0: nothing to look at, 3: something, 4: numbers may mean something else.
    """
    with readable_errors():
        from pipelines.contracts.library import load_library
        from pipelines.estimation.output import check_output
        from pipelines.intake.form import parse_form
        from pipelines.precheck.codebook_run import check_codebook
        from pipelines.precheck.codebook_told import as_json, as_page, as_text

        for path, suffix in ((html, ".html"), (json, ".json")):
            check_output(path, suffixes=(suffix,))
        settings = load_settings()
        declared = parse_form(form, where="--form") if form else None
        library = load_library(settings.contracts_dir)
        found = check_codebook(
            file, settings, library, survey=survey, wave=wave, contract=contract, form=declared, other=against
        )
        typer.echo(as_text(found, language))
        if html is not None:
            page = as_page([found], language, template_dir=settings.annual_dir)
            html.write_text(page, encoding="utf-8")
        if json is not None:
            json.write_text(as_json(found), encoding="utf-8")
    raise typer.Exit({"same": 0, "look": 3, "serious": 4}[found.verdict])


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="Any file of a format that axstat reads.", show_default=False)],
    contract: Annotated[Path, typer.Argument(help="Its contract, an ODCS file (.yaml).", show_default=False)],
    table: Annotated[str | None, typer.Option(help="Which schema object, if the contract has several.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the typed table: .parquet, .csv or .json.")] = None,
    quarantine: Annotated[Path | None, typer.Option(help="Write the rows kept apart, with the reasons.")] = None,
    language: _Language = "en",
    json: Annotated[Path | None, typer.Option(help="Write all findings to this .json file.")] = None,
) -> None:
    """Read any file into a typed table by a contract. Exit code 0: nothing found, 3: with remarks, 4: rejected.

    How to write one: data_contracts/README.md.
    """
    with readable_errors():
        from pipelines.contracts.library import load_library
        from pipelines.estimation.output import check_output, write_table
        from pipelines.precheck.reading import read_file
        from pipelines.precheck.reading_told import as_json, as_text, flat

        for path in (out, quarantine):
            check_output(path, inputs=[file, contract])
        check_output(json, suffixes=(".json",), inputs=[file, contract])
        found = read_file(file, contract, load_library(load_settings().contracts_dir), table=table)
        typer.echo(as_text(found, language))
        typed = None if found.verdict == "reject" else found.typed
        for path, rows in ((out, typed), (quarantine, None if found.rows is None else found.quarantine)):
            if path is not None and rows is not None:
                write_table(flat(rows) if path.suffix == ".csv" else rows, path)
        if json is not None:
            json.write_text(as_json(found), encoding="utf-8")
    raise typer.Exit({"accept": 0, "remarks": 3, "reject": 4}[found.verdict])


@app.command()
def benchmark(
    series: Annotated[
        list[str] | None, typer.Argument(help="Outside series to fetch; left out: all there are.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Take this reply instead of asking the office.")] = None,
) -> None:
    """Fetch outside series. Each reply is kept below the data home; the next run loads it into core.benchmark."""
    with readable_errors():
        from pipelines.contracts.library import load_library
        from pipelines.intake.series.collect import fetch_series

        settings = load_settings()
        library = load_library(settings.contracts_dir)
        failed = False
        for told in fetch_series(library, settings.benchmarks_dir, settings.environment, names=series or (), file=file):
            failed |= told.error is not None
            typer.echo(str(told), err=told.error is not None)
    raise typer.Exit(1 if failed else 0)


@app.command()
def status(
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Show what is there at a glance. Waves, deliveries, last runs, checks, releases, and what comes next."""
    with readable_errors():
        from datetime import UTC, datetime

        from pipelines.orchestration.situation import situation

        found = situation(load_settings(), now=datetime.now(UTC))
        if json:
            typer.echo(found.as_json())
            return
        print_tables(found.tables)
        print_notes(found.notes)


@app.command()
def query(sql: Annotated[str, typer.Argument(help="One SELECT on the published file.")]) -> None:
    """Query the latest published DuckDB file. Read-only."""
    with readable_errors():
        from pipelines.release.overview import latest_database
        from pipelines.warehouse.published import query_published

        print_frame(query_published(latest_database(load_settings()), sql))


@app.command()
def scenario(
    survey: Annotated[str, typer.Option(help="industry or public.")] = "industry",
    wave: Annotated[int | None, typer.Option(metavar="<int>", help="Left out: the last published one.")] = None,
    weighting: Annotated[str, typer.Option(help="unit or employment.")] = "unit",
    out: Annotated[Path | None, typer.Option(help="Write to this .parquet, .csv or .json file.")] = None,
) -> None:
    """Show what the target asks of each part. And where other paces lead, from the latest published file."""
    with readable_errors():
        from pipelines.estimation.output import check_output
        from pipelines.release.overview import latest_database
        from pipelines.release.scenario_table import scenario_table

        check_output(out)
        table = scenario_table(latest_database(load_settings()), survey=survey, wave=wave, unit_weighting=weighting)
        write_or_print([(table, out)])


@app.command()
def estimate(
    spec: Annotated[Path, typer.Argument(help="The specification, a YAML file.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Write to this .parquet, .csv or .json file.")] = None,
) -> None:
    """Estimate from any survey's file by a specification.

    How to write one: reports/methodology/estimate.md.
    """
    with readable_errors():
        from pipelines.estimation.output import check_output
        from pipelines.estimation.run import run_specification
        from pipelines.estimation.spec import load_specification

        specification = load_specification(spec)
        check_output(out, inputs=specification.inputs)
        made = run_specification(specification, load_settings())
        print_notes(made.notes)
        write_or_print([(made.table, out)])


@app.command()
def plan(
    spec: Annotated[Path, typer.Argument(help="The specification, a YAML file.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Write the allocation to this .parquet, .csv or .json file.")] = None,
    precision: Annotated[Path | None, typer.Option(help="Write the standard errors promised to this file.")] = None,
) -> None:
    """Plan a sample to precision targets. Units to draw in each stratum, and the standard errors they promise.

    How to write one: reports/methodology/planning.md.
    """
    with readable_errors():
        from pipelines.estimation.output import check_output
        from pipelines.planning.run import run_plan
        from pipelines.planning.spec import load_plan

        specification = load_plan(spec)
        for path in (out, precision):
            check_output(path, inputs=specification.inputs)
        made = run_plan(specification)
        print_notes(made.notes)
        write_or_print([(made.allocation, out), (made.precision, precision)])


@app.command()
def draw(
    spec: Annotated[Path, typer.Argument(help="The specification, a YAML file.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The sample file: .parquet, .csv or .json.", show_default=False)],
    strata: Annotated[Path | None, typer.Option(help="Write the table of strata and starts to this file.")] = None,
) -> None:
    """Draw a sample from a frame. By permanent random numbers, with the wanted overlap with the last one.

    How to write a specification: reports/methodology/planning.md.
    """
    with readable_errors():
        from pipelines.estimation.output import check_output
        from pipelines.planning.draw import contract_named, run_draw
        from pipelines.planning.spec import load_draw

        specification = load_draw(spec)
        for path in (out, strata):
            check_output(path, inputs=specification.inputs)
        contract = None
        if specification.contract is not None:
            from pipelines.contracts.library import load_library

            contract = contract_named(specification.contract, load_library(load_settings().contracts_dir).deliveries)
        made = run_draw(specification, contract)
        print_notes(made.notes)
        write_or_print([(made.sample, out), (made.strata, strata)])


@app.command()
def weight(
    spec: Annotated[Path, typer.Argument(help="The specification, a YAML file.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Write the weights to this .parquet, .csv or .json file.")] = None,
    diagnostics: Annotated[Path | None, typer.Option(help="Write what the steps did to this file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the weight report to this .html file.")] = None,
) -> None:
    """Weight any survey's sample by a specification. Every factor of every unit, and the final weight.

    How to write one: reports/methodology/weighting.md.
    """
    with readable_errors():
        from pipelines.estimation.output import check_output
        from pipelines.weighting.run import run_weighting
        from pipelines.weighting.spec import load_weighting

        specification = load_weighting(spec)
        for path in (out, diagnostics):
            check_output(path, inputs=specification.inputs)
        check_output(report, suffixes=(".html",))
        made = run_weighting(specification)
        page = None
        if report is not None:
            from pipelines.weighting.report import weight_report

            page = weight_report(made, template_dir=load_settings().annual_dir)
        print_notes(made.notes)
        write_or_print([(made.weights, out), (made.diagnostics, diagnostics)])
        if report is not None and page is not None:
            report.write_text(page, encoding="utf-8")


@app.command()
def backup(
    to: Annotated[Path | None, typer.Option(help="A folder; left out: backups/ below the data home.")] = None,
) -> None:
    """Back up what cannot be made again. Deliveries, edits, warehouse with its secret, releases; hashes of all files.

    It holds microdata and is readable by its owner only. What is in it: reports/methodology/backup.md.
    """
    with readable_errors():
        from datetime import UTC, datetime

        from pipelines.contracts.library import load_library
        from pipelines.warehouse.backup import back_up
        from pipelines.warehouse.catalogue import SqlCatalogue
        from pipelines.warehouse.database import Warehouse

        settings = load_settings()
        library = load_library(settings.contracts_dir)
        warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library)
        made = back_up(settings, warehouse, to=to or settings.home / "backups", now=datetime.now(UTC))
        typer.echo(str(made))


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="A folder that `axstat backup` made.", show_default=False)],
    into: Annotated[Path | None, typer.Option(help="A new or empty folder; left out: the data home.")] = None,
) -> None:
    """Bring a backup back as a data home. Every file is held against its hash; never over a home that is not empty."""
    with readable_errors():
        from pipelines.warehouse.backup import restore as bring_back

        typer.echo(str(bring_back(backup, into=into or load_settings().home)))


@app.command()
def migrate() -> None:
    """Bring the warehouse of an older axstat to today's layout. A copy stays beside it; releases are not touched."""
    with readable_errors():
        from pipelines.contracts.library import load_library
        from pipelines.warehouse.catalogue import SqlCatalogue
        from pipelines.warehouse.database import Warehouse
        from pipelines.warehouse.upgrade import migrate as bring

        settings = load_settings()
        library = load_library(settings.contracts_dir)
        typer.echo(str(bring(Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library))))


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 3000,
    only: Annotated[
        Literal["web", "daemon"] | None, typer.Option(help="Only one of both, as services want it.")
    ] = None,
) -> None:
    """Serve Dagster's UI on this machine, with its daemon. Asset graph, checks, runs, schedules.

    As services, with PostgreSQL: reports/methodology/operations.md.
    """
    with readable_errors():
        from pipelines.orchestration.services import serve_ui

        settings = load_settings()
        if only != "daemon":
            typer.echo(f"http://127.0.0.1:{port}  (Ctrl-C stops it)")
        raise typer.Exit(serve_ui(settings, port=port, only=only))


def main() -> None:
    """Entry point of the `axstat` command."""
    app()


if __name__ == "__main__":
    main()
