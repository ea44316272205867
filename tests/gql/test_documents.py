"""A document is parsed and validated once, whatever else is asked meanwhile."""

import pytest
from graphql import GraphQLError, GraphQLSchema

from gql import operations
from gql.operations import KnownDocuments
from gql.schema.root import schema

GOOD = "{ viewer { id } }"


@pytest.fixture
def documents() -> KnownDocuments:
    executable: GraphQLSchema = schema._schema
    return KnownDocuments(executable)


def test_a_document_is_known_the_second_time(documents: KnownDocuments) -> None:
    assert documents.of(GOOD) is documents.of(GOOD)
    assert documents.of(GOOD).problems == ()


def test_documents_that_are_refused_push_no_good_one_out(documents: KnownDocuments) -> None:
    first = documents.of(GOOD)
    for number in range(operations.DOCUMENTS_KEPT + operations.REFUSALS_KEPT):
        assert documents.of(f"{{ nope{number} }}").problems
        with pytest.raises(GraphQLError):
            documents.of(f"{{ nope{number}")
    assert documents.of(GOOD) is first


def test_the_document_that_was_not_asked_for_longest_makes_room(documents: KnownDocuments) -> None:
    first = documents.of(GOOD)
    second = documents.of("{ viewer { name } }")
    for number in range(operations.DOCUMENTS_KEPT - 1):
        documents.of(f"{{ a{number}: viewer {{ id }} }}")
        assert documents.of(GOOD) is first
    assert documents.of("{ viewer { name } }") is not second


def test_a_document_too_long_to_be_a_programs_is_not_kept(documents: KnownDocuments) -> None:
    long = GOOD + "#" * operations.LONGEST_KEPT
    assert documents.of(long) is not documents.of(long)
