"""How is a value completed: by compiled code where it is plain, by graphql-core everywhere else?

graphql-core walks over every field of every object, which takes thirty times as long as to read them. Here a selection
is compiled once, and used wherever a value turns out to be plain: objects of the API's own classes whose attributes are
of the right types. At the first surprise the value is handed to graphql-core, untouched, which finds what is wrong and
where. Fields with resolvers are graphql-core's in any case, once all that is around them is known to be plain.
"""

from collections.abc import Awaitable
from typing import Any

from graphql import GraphQLOutputType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path, Undefined, gather_with_cancel
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql.execution.compiler import Completion, compiled
from gql.execution.gaps import Gap, Gaps
from gql.execution.programs import Completions, Programs

_programs = Programs()


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, with a short way for what is plain. For Strawberry's `execution_context_class`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._completions: Completions | None = None
        if self._may_be_compiled():
            program = _programs.of(self.schema, self.operation, self.fragment_definitions)
            self._completions = program.completions(self.variable_values.coerced)

    def complete_value(  # noqa: PLR0917 - graphql-core's signature
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Completes a value; an awaitable where a field in it takes time."""
        if result is not None and self._completions is not None:
            completion = self._completion(self._completions, return_type, field_details_list)
            if completion is not None:
                gaps: Gaps = []
                try:
                    data = completion(result, path, None, gaps)
                except Exception:  # noqa: BLE001 - whatever it is, graphql-core finds it again and tells it
                    gaps.clear()
                else:
                    return self._filled(data, gaps) if gaps else data
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def _may_be_compiled(self) -> bool:
        return (
            self.error_propagation
            and self.abort_signal is None
            and not (self.middleware_manager is not None and self.middleware_manager.middlewares)
        )

    def _completion(
        self, known: Completions, return_type: GraphQLOutputType, details: FieldDetailsList
    ) -> Completion | None:
        """The code for this place of the document, made where it comes by for the first time."""
        first = details[0].node
        if first.selection_set is None:
            return None
        place = (id(return_type), *[id(each.node) for each in details])
        if place not in known:
            known[place] = compiled(self.schema, self.collect_subfields, return_type, details)
        return known[place]

    def _filled(self, data: Any, gaps: Gaps) -> Any:
        """The data with its gaps filled, or an awaitable of it."""
        waiting: list[Awaitable[None]] = []
        try:
            for gap in gaps:
                if not self._is_nulled(gap):
                    self._fill(gap, waiting)
        except Exception:
            if waiting:
                self.settle_in_background(waiting)
            raise
        return self._awaited(data, waiting) if waiting else data

    def _fill(self, gap: Gap, waiting: list[Awaitable[None]]) -> None:
        field = gap.field
        path = Path(gap.path, field.name, field.parent_type.name)
        try:
            value = self.execute_field(field.parent_type, gap.source, field.details, path, None)
        except Exception as error:  # noqa: BLE001 - it is told in the answer
            self._null(gap, error)
        else:
            if self.is_awaitable(value):
                waiting.append(self._fill_later(gap, value))
            elif value is not Undefined:
                gap.data[field.name] = value

    async def _fill_later(self, gap: Gap, value: Awaitable[Any]) -> None:
        try:
            gap.data[gap.field.name] = await value
        except Exception as error:  # noqa: BLE001 - as above
            self._null(gap, error)

    def _null(self, gap: Gap, error: Exception) -> None:
        """An error in a field that may not be null makes what is around it null, as far as that may be."""
        if gap.boundary is None:
            raise error
        container, key, path = gap.boundary
        container[key] = None
        self.collected_errors.add(error, path)  # type: ignore[arg-type]  # graphql-core has located it

    def _is_nulled(self, gap: Gap) -> bool:
        errors = self.collected_errors
        return bool(errors.errors) and gap.boundary is not None and errors.has_nulled_position(gap.boundary.path)

    @staticmethod
    async def _awaited(data: Any, waiting: list[Awaitable[None]]) -> Any:
        if len(waiting) == 1:
            await waiting[0]
        else:
            await gather_with_cancel(*waiting)
        return data
