"""Headers of codebooks: each says one thing."""

import pytest
from pydantic import ValidationError

from pipelines.contracts.codebooks import CodebookForm
from pipelines.contracts.library import ContractLibrary


def test_a_header_that_would_say_two_things_is_refused(library: ContractLibrary) -> None:
    entry = library.codebooks.model_dump()
    entry["headers"]["text"] = (*entry["headers"]["text"], "Code Label")
    with pytest.raises(ValidationError, match="header codelabel stands more than once"):
        CodebookForm.model_validate(entry)


def test_a_word_that_would_be_two_types_is_refused(library: ContractLibrary) -> None:
    entry = library.codebooks.model_dump()
    entry["types"]["date"] = ("날짜", "숫자")
    with pytest.raises(ValidationError, match="type 숫자 stands more than once"):
        CodebookForm.model_validate(entry)
