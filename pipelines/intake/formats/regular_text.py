"""Delimited text whose every record is sound -> its cells, at the speed of a compiled parser.

Belongs here: telling such text by its bytes, and reading it. Does not belong here: what is wrong with other text, which
the csv module reads record by record (delimited.py).
"""

import codecs

import numpy as np
import polars as pl

# Bytes looked at at a time: what is made of them stays in the processor's cache
_BLOCK = 1 << 18
_QUOTE, _LINE_FEED, _RETURN, _NUL = ord('"'), ord("\n"), ord("\r"), 0


def read_regular(data: bytes, *, delimiter: str, width: int, longest: int) -> pl.DataFrame | None:
    """All records of `data` (UTF-8), header and blanks included: `width` columns of text, blank cells null or ''.

    None where it takes the csv module to say what a record is: other widths, blank lines between, quotes that do not
    stand at both ends of a cell, line ends other than \\n and \\r\\n, NUL characters, cells of more than `longest`
    characters.
    """
    if data[-4:].count(b"\n") > 1:  # perhaps blank lines at the end
        data = data.rstrip(b"\r\n")
    if data.startswith(codecs.BOM_UTF8):  # a second one, which polars would take off
        return None
    if width < 2 or not delimiter.isascii() or not _is_regular(data, ord(delimiter), width):
        return None
    frame = pl.read_csv(
        data,
        separator=delimiter,
        has_header=False,
        infer_schema=False,
        new_columns=[str(position) for position in range(width)],
    )
    longer = frame.select(pl.any_horizontal(pl.all().str.len_bytes().max() > longest)).item()
    return None if longer else frame


def _is_regular(data: bytes, delimiter: int, width: int) -> bool:
    """Whether every line outside quotes has `width` cells, and quotes enclose whole cells; the last may end or not."""
    inside, cells = False, 1  # at the end of the block before: in a quoted cell; cells of the line so far
    text = np.frombuffer(data, dtype=np.uint8)
    for start in range(0, len(text), _BLOCK):
        stop = min(start + _BLOCK, len(text))
        # With the bytes on either side; the text's own ends are as good as line ends.
        around = np.full(stop - start + 2, _LINE_FEED, dtype=np.uint8)
        around[start == 0 : stop - start + 1 + (stop < len(text))] = text[max(start - 1, 0) : stop + 1]
        before, block, after = around[:-2], around[1:-1], around[2:]
        if (block == _NUL).any() or ((block == _RETURN) & (after != _LINE_FEED)).any():
            return False
        ends, breaks = block == delimiter, block == _LINE_FEED
        quotes = block == _QUOTE
        if inside or quotes.any():
            within = np.logical_xor.accumulate(quotes) ^ inside  # a closing quote is outside, an opening one within
            opening, closing = quotes & within, quotes & ~within
            starts_cell = (before == delimiter) | (before == _LINE_FEED) | (before == _QUOTE)
            ends_cell = (after == delimiter) | (after == _LINE_FEED) | (after == _RETURN) | (after == _QUOTE)
            if (opening & ~starts_cell).any() or (closing & ~ends_cell).any():
                return False
            ends, breaks, inside = ends & ~within, breaks & ~within, bool(within[-1])
        at_break = np.flatnonzero(breaks)
        counted = np.searchsorted(np.flatnonzero(ends), at_break)
        in_line = np.diff(counted, prepend=0)
        if len(in_line):
            in_line[0] += cells - 1
            cells = 1
        if (in_line != width - 1).any():
            return False
        cells += int(np.count_nonzero(ends)) - (int(counted[-1]) if len(counted) else 0)
    return not inside and (cells == width or data.endswith(b"\n"))
