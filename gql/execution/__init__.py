"""How are operations executed: by code made for their selections, with graphql-core underneath?"""

from gql.execution.executor import CompiledExecutor

__all__ = ["CompiledExecutor"]
