"""The codes that columns of a mart hold, with their labels, for every form that lists them.

Belongs here: from which contract or mart a column's codes are. Does not belong here: the codes themselves, how a form
writes them.
"""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from pipelines.contracts.models import Code, TableContract
from pipelines.errors import AxstatError

# Columns whose codes stand in a mart of their own, as the marts' contracts say, and that mart's column of codes
_LABELLED_BY: Mapping[str, str] = MappingProxyType({"domain_code": "domain", "measure": "measure"})


def codes_by_column(
    table: TableContract, marts: Mapping[str, pl.DataFrame], *, all_labelled: bool = True
) -> Mapping[str, tuple[Code, ...]]:
    """Codes and labels of every coded column of a mart, in their order of display; uncoded columns are left out.

    Args:
        marts: published tables by name without schema; `domain` and `measure` label the columns of those names.
        all_labelled: refuse data with a code that has no label; False: list the codes that have one.

    Raises:
        AxstatError: a domain code that means two things, or a code in the data that has no label.
    """
    found: dict[str, tuple[Code, ...]] = {}
    for column in table.columns:
        if column.codes:
            found[column.name] = column.codes
        elif column.name in _LABELLED_BY:
            found[column.name] = _labels(marts[_LABELLED_BY[column.name]], column.name)
        else:
            continue
        if not all_labelled:
            continue
        known = {code.value for code in found[column.name]}
        frame = marts[table.name.partition(".")[2]]
        unknown = sorted(set(frame.get_column(column.name).unique().drop_nulls()) - known)
        if unknown:
            raise AxstatError(
                "no_label",
                where=f"{table.name}.{column.name}",
                expected=f"codes with labels: {', '.join(sorted(known)[:20])}",
                got=", ".join(unknown[:10]),
                hint="add the code to its list, or correct it in the mart",
            )
    return MappingProxyType(found)


def _labels(frame: pl.DataFrame, column: str) -> tuple[Code, ...]:
    order = [name for name in ("survey", "domain_type", "sort_order") if name in frame.columns]
    listed = frame.sort([*order, column]).select(column, "label_ko", "label_en").unique(maintain_order=True)
    repeated = listed.filter(pl.col(column).is_duplicated())
    if repeated.height:
        raise AxstatError(
            "two_labels",
            where=f"labels of {column}",
            expected="one label a code, whatever the survey and the kind of domain",
            got=str(repeated.rows()[:4]),
            hint="give the code lists the same labels, or another code",
        )
    return tuple(Code(value=code, label_ko=ko, label_en=en) for code, ko, en in listed.iter_rows())
