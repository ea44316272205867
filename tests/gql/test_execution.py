"""Compiled selections answer what graphql-core answers, errors and all."""

import asyncio
from collections import Counter
from datetime import date
from enum import Enum
from inspect import isawaitable
from typing import Annotated, Any, cast

import pytest
import strawberry
from graphql import DocumentNode, ExecutionResult, GraphQLObjectType, GraphQLSchema, execute, parse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql.execution import CompiledExecutor
from gql.schema.root import build_schema
from tests.support.answers import Answers, answered_by_context
from tests.support.operations import SWITCHES, operations

DOCUMENTS = 200
ANSWERS_EACH = 6
ODDITIES = (0.0, 0.0, 0.01, 0.1)


# ---------------------------------------------------------------- a schema of what Postroom's own has not


@strawberry.enum
class Colour(Enum):
    RED = 1
    BLUE = "blue"


@strawberry.interface
class Named:
    name: str | None


@strawberry.type
class Leaf:
    number: int | None
    ratio: float
    day: date | None
    colour: Colour | None
    grid: list[list[int | None] | None] | None


@strawberry.type
class Twig(Named):
    leaves: list[Leaf | None]
    best: Leaf | None

    @strawberry.field
    def root(self) -> Annotated["Tree", strawberry.lazy("tests.gql.test_execution")]: ...

    @strawberry.field
    def parent(self) -> Annotated["Tree", strawberry.lazy("tests.gql.test_execution")] | None: ...

    @strawberry.field
    async def weight(self) -> int: ...


Thing = Annotated[Leaf | Twig, strawberry.union("Thing")]


@strawberry.type
class Tree(Named):
    things: list[Thing] | None
    spare: list[Thing | None]
    twigs: list[list[Twig | None] | None]
    named: Named | None

    @strawberry.field
    def again(self, first: int | None = None) -> list["Tree"] | None: ...


@strawberry.type
class Forest:
    @strawberry.field
    def tree(self) -> Tree | None: ...

    @strawberry.field
    def trees(self) -> list[Tree]: ...


SCHEMAS = {
    "postroom": answered_by_context(build_schema()._schema),
    "forest": answered_by_context(strawberry.Schema(Forest)._schema),
}
ROOTS = [
    pytest.param(schema, root, id=f"{name}-{root.name}")
    for name, schema in SCHEMAS.items()
    for root in (schema.query_type, schema.subscription_type)
    if root is not None
]


# ---------------------------------------------------------------- the same, in two ways


def told(result: ExecutionResult) -> tuple[Any, Counter[str]]:
    """The data with the order of its fields, and the errors whatever their order."""
    return ordered(result.data), Counter(str(error.formatted) for error in result.errors or ())


def nulled(result: ExecutionResult) -> tuple[Any, set[tuple[str | int, ...]]]:
    """The data with the order of its fields, and where errors made it null.

    Where several fields fail at the same time, it is a matter of turns which of the errors is told.
    """
    return ordered(result.data), {_nulled_by(error.path or [], result.data) for error in result.errors or ()}


def _nulled_by(path: list[str | int], data: Any) -> tuple[str | int, ...]:
    for depth, key in enumerate(path):
        if data is None:
            return tuple(path[:depth])
        data = data[key]
    return tuple(path)


def ordered(data: Any) -> Any:
    if isinstance(data, dict):
        return [(name, ordered(value)) for name, value in data.items()]
    return [ordered(item) for item in data] if isinstance(data, list) else data


async def answered(
    schema: GraphQLSchema, document: DocumentNode, answers: Answers, variables: dict[str, Any], executor: type
) -> ExecutionResult:
    result = execute(
        schema,
        document,
        context_value=answers,
        variable_values=variables,
        is_awaitable=optimized_is_awaitable,
        executor_class=executor,
    )
    return await result if isawaitable(result) else cast("ExecutionResult", result)


async def compare(schema: GraphQLSchema, text: str, seed: int, switches: tuple[bool, ...], *, is_async: bool) -> None:
    document = parse(text)
    for number in range(ANSWERS_EACH):
        oddity = ODDITIES[number % len(ODDITIES)]
        answers = Answers(schema, seed + number, oddity, is_async=is_async)
        flags = switches if number % 2 else tuple(not flag for flag in switches)
        variables = {**dict(zip(SWITCHES, flags, strict=True)), "n": number}
        expected = await answered(schema, document, answers, variables, StrawberryGraphQLCoreExecutionContext)
        found = await answered(schema, document, answers, variables, CompiledExecutor)
        seen = nulled if is_async else told
        assert seen(found) == seen(expected)


# graphql-core drops the coroutines of fields whose turn had not come, unawaited: no harm, but Python remarks on it.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("is_async", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(("schema", "root"), ROOTS)
def test_compiled_selections_answer_what_graphql_core_answers(
    schema: GraphQLSchema, root: GraphQLObjectType, is_async: bool
) -> None:
    @settings(
        max_examples=DOCUMENTS // len(ROOTS) // 2,
        deadline=None,
        phases=(Phase.reuse, Phase.generate),  # an operation shrinks for minutes, and tells little more
        suppress_health_check=list(HealthCheck),
    )
    @given(operations(schema, root), st.integers(0, 2**32), st.tuples(*[st.booleans()] * len(SWITCHES)))
    def check(text: str, seed: int, switches: tuple[bool, ...]) -> None:
        asyncio.run(compare(schema, text, seed, switches, is_async=is_async))

    check()
