"""Global ids: one account of them, however they are written."""

from uuid import UUID

from hypothesis import given, strategies as st

from app.domain.global_id import global_id, global_ids, row_id


@given(type_name=st.from_regex(r"[A-Z][A-Za-z]{0,30}", fullmatch=True), id_=st.uuids())
def test_ids_of_a_type_are_written_as_any_other(type_name: str, id_: UUID) -> None:
    written = global_ids(type_name)(id_)
    assert written == global_id(type_name, id_)
    assert row_id(written) == id_
