import pytest

from common.http.references import ExternalId, InvalidReference, parse_external_id, parse_reference


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (42, 42),
        ("42", 42),
        ("external:42", ExternalId("42")),
        ("external:spotify:track:1", ExternalId("spotify:track:1")),
        ("external:external:7", ExternalId("external:7")),
        ("external:Zoë Kravitz", ExternalId("Zoë Kravitz")),
    ],
)
def test_it_reads_integers_and_external_ids(value: int | str, expected: int | ExternalId) -> None:
    assert parse_reference(value) == expected


@pytest.mark.parametrize(
    "value", ["", "me", "-1", "4.0", "٤٢", True, "external:", "external: ", "external:a\x00", "external:\ud800"]
)
def test_it_refuses_what_names_nothing(value: str) -> None:
    with pytest.raises(InvalidReference):
        parse_reference(value)


def test_it_reads_only_the_first_digits_of_a_huge_number() -> None:
    assert parse_reference("9" * 100_000) == int("9" * 40)


def test_an_external_id_may_stand_without_its_prefix_where_nothing_else_can() -> None:
    assert parse_external_id("app-7") == parse_external_id("external:app-7") == ExternalId("app-7")
    with pytest.raises(InvalidReference, match="has 129 characters; it may have 128"):
        parse_external_id("x" * 129)
