"""Sections of a specification: YAML -> frozen records, every fault with its place and in plain words.

Belongs here: what specifications of all commands share: names and labels, keys that go together, pydantic's errors as
violations. Does not belong here: the keys of one command (spec, planning).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from pipelines.errors import AxstatError, Violation
from pipelines.estimation.plain_yaml import read_yaml
from pipelines.stats.terms import unknown_name

Label = bool | int | float | str


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def _text(value: object) -> object:
    """A name or level that YAML took for a number or a truth value."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _share(value: object) -> object:
    """A share; of one given in per cent the limit alone would not say what is wrong."""
    if isinstance(value, int | float) and 1 < value <= 100:
        raise PydanticCustomError("per_cent", "a share, not per cent", {"share": value / 100})
    return value


Name = Annotated[str, BeforeValidator(_text)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed)]
Labels = Annotated[tuple[Label, ...], BeforeValidator(_listed), Field(min_length=1)]
Share = Annotated[float, BeforeValidator(_share)]
Condition = dict[Name, Labels]


class Section(BaseModel):
    """Keys and values of a specification: unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SectionType = TypeVar("SectionType", bound=BaseModel)


def read_document(path: Path) -> object:
    """The document in a specification's file.

    Raises:
        AxstatError: the file is not there or is not YAML.
    """
    try:
        return read_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise AxstatError(
            "not_yaml",
            where=f"specification {path.name}",
            expected="YAML",
            got=" ".join(str(error).split()),
            hint="mend the line named",
        ) from None
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError) as error:
        raise AxstatError(
            "specification_unreadable",
            where=f"specification {path}",
            expected="a YAML file in UTF-8",
            got=type(error).__name__,
            hint="check the path",
        ) from None


def named_columns(place: str, named: str | Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """The place and name of each column named there."""
    if isinstance(named, str):
        yield place, named
    else:
        yield from ((place, name) for name in named or ())


@dataclass(frozen=True)
class Keys:
    """Keys that a kind of estimate or test must have, and those it may have besides."""

    must: tuple[str, ...]
    may: tuple[str, ...]

    def faults(self, item: Section, *, place: str, kind: str) -> list[Violation]:
        """Keys that are missing, and those that do not belong."""
        faults = [
            Violation(
                "key_missing",
                where=f"{place}.{key}",
                expected=f"a value: {kind} needs it",
                got="nothing",
                hint=f"add {key}",
            )
            for key in self.must
            if key not in item.model_fields_set
        ]
        for key in sorted(item.model_fields_set - {*self.must, *self.may}):
            taken = ", ".join((*self.must, *self.may))
            faults.append(
                Violation(
                    "key_not_taken",
                    where=f"{place}.{key}",
                    expected=f"the keys of {kind}: {taken}",
                    got=key,
                    hint="leave it out",
                )
            )
        return faults


def optional_section(model: type[SectionType], raw: object, place: str, faults: list[Violation]) -> SectionType | None:
    """As :func:`checked_section`; None where there is none."""
    return None if raw is None else checked_section(model, raw, place, faults)


def listed_sections(
    model: type[SectionType], raw: Sequence[object], place: str, faults: list[Violation]
) -> dict[int, SectionType]:
    """The items of a list that are right in themselves, by position."""
    made = {index: checked_section(model, item, f"{place}[{index}]", faults) for index, item in enumerate(raw)}
    return {index: item for index, item in made.items() if item is not None}


def checked_section(model: type[SectionType], raw: object, place: str, faults: list[Violation]) -> SectionType | None:
    """The section, or None with what is wrong in it added to ``faults``."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found = [_fault(model, cast(Mapping[str, Any], each), place) for each in error.errors(include_url=False)]
        faults += _deepest(found)
        return None


def _deepest(found: Sequence[Violation]) -> list[Violation]:
    """One fault a place, and none of a place whose part has one: members of a union each have their say."""
    places = {fault.where: fault for fault in reversed(found)}
    return [
        fault
        for where, fault in reversed(places.items())
        if not any(other.startswith((f"{where}.", f"{where}[")) for other in places)
    ]


def _fault(model: type[BaseModel], found: Mapping[str, Any], place: str) -> Violation:
    """A pydantic error in plain words."""
    kind, location = found["type"], found["loc"]
    # What pydantic adds to tell the members of a union apart is no place in the file.
    path = [part for part in location if isinstance(part, int) or part in _keys_of(found) or part == location[0]]
    where = place
    for part in path:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    where = where or "the whole"
    if kind == "extra_forbidden":
        return unknown_name("unknown_key", where, "a key", str(location[-1]), list(model.model_fields))
    if kind == "missing" and isinstance(location[-1], int):
        return Violation(
            "value_not_valid", where.rpartition("[")[0], "two numbers", "fewer", "give the lower and upper"
        )
    if kind == "missing":
        return Violation("key_missing", where, "a value", "nothing", f"add {location[-1]}")
    if kind == "literal_error":
        valid = [text.strip(" '") for text in found["ctx"]["expected"].replace(" or ", ",").split(",")]
        return unknown_name(
            f"unknown_{[part for part in path if isinstance(part, str)][-1]}",
            where,
            "one of",
            str(found["input"]),
            valid,
        )
    if kind == "model_type":
        return Violation("not_a_mapping", where, "keys and values", _shown(found["input"]), "write key: value")
    expected = _KINDS.get(kind, str(found["msg"]).lower().removeprefix("input should be "))
    if kind in _LIMITS:
        expected = _LIMITS[kind].format_map(found["ctx"])
    hint = _HINTS.get(kind, "give a value of that kind").format_map(found.get("ctx", {}))
    return Violation("value_not_valid", where, expected, _shown(found["input"]), hint)


_HINTS = {
    "per_cent": "write {share:g}",
    "list_type": "begin each item with a dash",
    "too_short": "add one",
}
_KINDS = {
    "too_short": "at least one",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys and values",
    "string_type": "text",
    "bool_type": "a single value",
    "bool_parsing": "true or false",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
}


_LIMITS = {
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "{le:g} or less",
}


def _keys_of(found: Mapping[str, Any]) -> set[str]:
    """Parts of a location that are keys of the file: not the names of types, which pydantic writes in brackets."""
    return {
        part
        for part in found["loc"]
        if isinstance(part, str)
        and part not in ("bool", "int", "float", "str", "constrained-float")
        and not part.endswith("]")
    }


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def repeated_ids(ids: Sequence[tuple[str, str]]) -> list[Violation]:
    """The ids, given with their places, that another item has already."""
    first: dict[str, str] = {}
    faults = []
    for place, name in ids:
        if name in first:
            faults.append(Violation("id_repeated", place, f"another id than {first[name]}", name, "rename one"))
        first.setdefault(name, place)
    return faults
