"""The program of the process that `read_parquet` starts: a Parquet file in; one line of JSON and its rows out.

Belongs here: the calls of pyarrow. Does not belong here: words for people, cells as text (parquet.py).
"""

from typing import IO

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from pipelines.intake.formats.child import answer, refuse, run


def main(path: str, most_rows: str, most_columns: str) -> None:
    """Write the file's rows.

    The line has `names`, and `rows` and `columns` as the file's metadata claim them; of a file that claims more than
    `most_rows` or `most_columns`, nothing else is read. Or, of a file that cannot be read, `error` and `text`.
    """
    try:
        # Not by polars: on damaged pages its reader ends the whole process.
        with pq.ParquetFile(path) as source:
            found = {"rows": source.metadata.num_rows, "columns": source.metadata.num_columns}
            if found["rows"] > int(most_rows) or found["columns"] > int(most_columns):
                answer(found | {"names": []})
                return
            table = source.read()
        table.validate(full=True)
        headers = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        refuse(error)
        return
    # Names made here: those of the file may stand twice, and its metadata are nobody's business.
    numbered = pa.table(table.columns, names=[f"c{position}" for position in range(len(headers))])

    def write_rows(output: IO[bytes]) -> None:
        with pa.ipc.new_stream(output, numbered.schema) as stream:
            stream.write_table(numbered)

    answer(found | {"names": headers}, write_rows)


if __name__ == "__main__":
    run(main)
