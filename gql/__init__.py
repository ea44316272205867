"""The API: shapes in `schema`, verbs in `resolvers`, and one snapshot of the database an operation."""
