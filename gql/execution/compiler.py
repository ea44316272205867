"""Which code completes a selection?

For each object of a selection one function is written, which reads the attributes that its fields stand for, checks
that each is plainly what its type says, and puts them into a dict. Anything else is a surprise, and graphql-core's to
deal with: nothing has happened until then, since reading attributes does nothing. A field with a resolver is left as a
gap. What is written looks like this:

    def object_2(source, path=None, boundary=None, gaps=None):
        if source.__class__ is not class_2: raise Surprise
        value = source.name
        if value is not None:
            if value.__class__ is not str: raise Surprise
        ...
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple, TypeAlias

from graphql import (
    GraphQLAbstractType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_introspection_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetailsList
from graphql.pyutils import Path
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from gql.execution.at_hand import AT_HAND, NOT_READ, AtHand
from gql.execution.gaps import Boundary, Gap, Gaps, ResolvedField, Surprise
from gql.execution.leaves import leaf

Completion: TypeAlias = Callable[[Any, Path, Boundary | None, Gaps], Any]
"""Completes a value that is not None, at a path, within a boundary, and adds its gaps.

Raises:
    Exception: it is not plain, and nothing has been done to it. The gaps that were added until then are void.
"""
Collect: TypeAlias = Callable[[GraphQLObjectType, FieldDetailsList], CollectedFields]
"""graphql-core's way to find the fields of an object, fragments and directives seen to."""

_DEFINITION = "strawberry-definition"
_PARAMETERS = "path=None, boundary=None, gaps=None"


class NotCompiled(Exception):
    """The selection has something for which no code is written."""


class _Value(NamedTuple):
    """How a value of a type is completed, in code.

    Attributes:
        refusal: true of a value `{v}` that is a surprise, None among them.
        completed: the expression for what it becomes; with gaps, by means of `{path}` and `{boundary}`.
    """

    refusal: str
    completed: str
    has_gaps: bool = False


def _by(function: str, refusal: str, *, has_gaps: bool) -> _Value:
    """A value that a function completes."""
    arguments = "{v}, {path}, {boundary}, gaps" if has_gaps else "{v}"
    return _Value(refusal, f"{function}({arguments})", has_gaps)


def compiled(
    schema: GraphQLSchema, collect: Collect, return_type: GraphQLOutputType, details: FieldDetailsList
) -> Completion | None:
    """The code for the selection of these fields; None where there is none for it."""
    try:
        return _Compiler(schema, collect).completion(return_type, details)
    except NotCompiled:
        return None


class _Compiler:
    def __init__(self, schema: GraphQLSchema, collect: Collect) -> None:
        self._schema = schema
        self._collect = collect
        self._numbers = count(1)
        self._code: list[str] = []
        self._names: dict[str, Any] = {
            "Boundary": Boundary,
            "Gap": Gap,
            "NOT_READ": NOT_READ,
            "Path": Path,
            "Surprise": Surprise,
        }

    def completion(self, return_type: GraphQLOutputType, details: FieldDetailsList) -> Completion:
        whole = self._value(_nullable(return_type), details)
        self._define(
            f"def completion(value, {_PARAMETERS}):",
            f"    if {whole.refusal.format(v='value')}: raise Surprise",
            f"    return {whole.completed.format(v='value', path='path', boundary='boundary')}",
        )
        exec(compile("\n".join(self._code), "<selection>", "exec"), self._names)  # noqa: S102 - of names of the schema, and of fields as the parser lets them through
        completion: Completion = self._names["completion"]
        return completion

    def _define(self, *lines: str) -> None:
        self._code.extend(lines)

    def _value(self, kind: GraphQLOutputType, details: FieldDetailsList) -> _Value:
        """A value of a type that is not `!`."""
        if is_leaf_type(kind):
            written = leaf(kind, next(self._numbers))
            self._names.update(written.names)
            return _Value(written.refusal, written.written)
        if is_list_type(kind):
            return self._list(kind, details)
        if is_abstract_type(kind):
            return self._abstract(kind, details)
        if is_object_type(kind) and not is_introspection_type(kind):
            function, has_gaps = self._object(kind, details)
            return _by(function, "{v} is None", has_gaps=has_gaps)
        raise NotCompiled

    def _list(self, kind: GraphQLList[Any], details: FieldDetailsList) -> _Value:
        number = next(self._numbers)
        item_type = _nullable(kind.of_type)
        item = self._value(item_type, details)
        null = "" if is_non_null_type(kind.of_type) else "None if item is None else "
        if not is_leaf_type(item_type) and not is_list_type(item_type) and not item.has_gaps:
            return _Value("{v}.__class__ is not list", f"[{null}{item.completed.format(v='item')} for item in {{v}}]")
        inner = "Boundary(items, index, at)" if null else "boundary"
        self._define(
            f"def list_{number}(values, {_PARAMETERS}):",
            "    items = []",
            "    for index, item in enumerate(values):",
            *(["        if item is None:", "            items.append(None)", "            continue"] if null else []),
            f"        if {item.refusal.format(v='item')}: raise Surprise",
            *(["        at = Path(path, index, None)"] if item.has_gaps else []),
            f"        items.append({item.completed.format(v='item', path='at', boundary=inner)})",
            "    return items",
        )
        return _by(f"list_{number}", "{v}.__class__ is not list", has_gaps=item.has_gaps)

    def _abstract(self, kind: GraphQLAbstractType, details: FieldDetailsList) -> _Value:
        """By the class of the value, which tells its type."""
        number = next(self._numbers)
        by_class: dict[str, str] = {}
        has_gaps = False
        for possible in self._schema.get_possible_types(kind):
            function, is_with_gaps = self._object(possible, details)
            by_class[f"class_of_{function}"] = function
            has_gaps = has_gaps or is_with_gaps
        if len({self._names[name] for name in by_class}) < len(by_class):
            raise NotCompiled
        pairs = ", ".join(f"{name}: {function}" for name, function in by_class.items())
        self._define(f"by_class_{number} = {{{pairs}}}")
        return _by(
            f"by_class_{number}[{{v}}.__class__]", f"{{v}}.__class__ not in by_class_{number}", has_gaps=has_gaps
        )

    def _object(self, kind: GraphQLObjectType, details: FieldDetailsList) -> tuple[str, bool]:
        """The name of the function that completes objects of this type, and whether it leaves gaps."""
        function = f"object_{next(self._numbers)}"
        self._names[f"class_of_{function}"] = _origin(kind)
        collected = self._collect(kind, details)
        if collected.new_defer_usages:
            raise NotCompiled
        lines: list[str] = []
        has_gaps = False
        for name, field in collected.grouped_field_set.items():
            value, is_gap = self._field(lines, kind, name, field)
            has_gaps = has_gaps or is_gap
            lines.append(f"    data[{name!r}] = {value}")
        self._define(
            f"def {function}(source, {_PARAMETERS}):",
            f"    if source.__class__ is not class_of_{function}: raise Surprise",
            "    data = {}",
            *lines,
            "    return data",
        )
        return function, has_gaps

    def _field(
        self, lines: list[str], parent: GraphQLObjectType, name: str, details: FieldDetailsList
    ) -> tuple[str, bool]:
        """Adds what is done for a field; its value as an expression, and whether there is a gap in or for it."""
        field_name = details[0].node.name.value
        if field_name == "__typename":
            return repr(parent.name), False
        definition = self._schema.get_field(parent, field_name)
        if definition is None or any(each.fragment_variable_values or each.defer_usage for each in details):
            raise NotCompiled
        variable = f"value_{next(self._numbers)}"
        attribute = _attribute(definition)
        if attribute is not None:
            completed, has_gaps = self._completed(parent, name, definition, details, variable)
            lines += [f"    {variable} = source.{attribute}", *completed]
            return variable, has_gaps
        self._names[f"field_of_{variable}"] = ResolvedField(name, parent, details)
        gap = f"gaps.append(Gap(field_of_{variable}, data, source, path, boundary))"
        at_hand = self._at_hand(definition, details)
        if at_hand is None:
            lines.append(f"    {gap}")
            return "None", True
        completed, _ = self._completed(parent, name, definition, details, variable)
        lines += [
            f"    {variable} = source.{at_hand}",
            f"    if {variable} is NOT_READ:",
            f"        {variable} = None",
            f"        {gap}",
            "    else:",
            *[f"    {line}" for line in completed],
        ]
        return variable, True

    def _completed(
        self, parent: GraphQLObjectType, name: str, definition: GraphQLField, details: FieldDetailsList, variable: str
    ) -> tuple[list[str], bool]:
        """What makes of a field's value what is answered, and whether it leaves gaps."""
        value = self._value(_nullable(definition.type), details)
        at, boundary = f"at_{variable}", "boundary"
        if not is_non_null_type(definition.type):
            boundary = f"Boundary(data, {name!r}, {at})"
        lines = [f"if {value.refusal.format(v=variable)}: raise Surprise"]
        if value.has_gaps:
            lines.append(f"{at} = Path(path, {name!r}, {parent.name!r})")
        lines.append(f"{variable} = {value.completed.format(v=variable, path=at, boundary=boundary)}")
        if not is_non_null_type(definition.type):
            lines = [f"if {variable} is not None:", *[f"    {line}" for line in lines]]
        return [f"    {line}" for line in lines], value.has_gaps

    def _at_hand(self, definition: GraphQLField, details: FieldDetailsList) -> str | None:
        """The attribute in which a field's value may stand; None where there is none for what is selected."""
        field = _definition(definition.extensions)
        found = field.metadata.get(AT_HAND) if isinstance(field, StrawberryField) else None
        kind = get_named_type(definition.type)
        if not isinstance(found, AtHand) or definition.args or not isinstance(kind, GraphQLObjectType):
            return None
        if found.only is not None:
            selected = self._collect(kind, details).grouped_field_set.values()
            if not {each[0].node.name.value for each in selected} <= found.only | {"__typename"}:
                return None
        return found.attribute


def _nullable(kind: GraphQLOutputType) -> GraphQLOutputType:
    return kind.of_type if isinstance(kind, GraphQLNonNull) else kind


def _definition(extensions: Mapping[str, Any] | None) -> object:
    return (extensions or {}).get(_DEFINITION)


def _origin(kind: GraphQLObjectType) -> type:
    """The class whose instances are of this type, and of no other."""
    definition = _definition(kind.extensions)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of or definition.is_graphql_generic:
        raise NotCompiled
    return definition.origin


def _attribute(definition: GraphQLField) -> str | None:
    """The attribute that a field stands for; None where there is more to it."""
    field = _definition(definition.extensions)
    is_plain = (
        isinstance(field, StrawberryField)
        and field.is_basic_field
        and field.default_resolver is getattr
        and not definition.args
        and getattr(definition.resolve, "_is_default", False)
    )
    return field.python_name if is_plain and isinstance(field, StrawberryField) else None
