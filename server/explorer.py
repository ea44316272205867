"""What does a browser show at /graphql: GraphiQL, and where its scripts cannot be had, a plain page of our own?"""

from functools import cache
from pathlib import Path

from strawberry.http.ides import get_graphql_ide_html

PLAIN = "plain"
"""The parameter of the address that asks for the plain page."""
GRAPHIQL_DEADLINE_MS = 10_000

_FILE = Path(__file__).with_name("explorer.html")
# Before GraphiQL's scripts, and so at work while a network that swallows packets keeps the page waiting for them.
_FALLBACK = f"""<head>
    <script>
      const usePlainExplorer = () => {{ if (!window.GraphiQL) location.replace("?{PLAIN}"); }};
      addEventListener("error", ({{ target }}) => {{ if (target.tagName === "SCRIPT") usePlainExplorer(); }}, true);
      setTimeout(usePlainExplorer, {GRAPHIQL_DEADLINE_MS});
    </script>"""


@cache
def graphiql() -> str:
    """GraphiQL, whose scripts come from a public CDN; without them it gives way to the plain explorer."""
    return get_graphql_ide_html("graphiql").replace("<head>", _FALLBACK, 1)


@cache
def plain_explorer() -> str:
    """A page that runs operations and follows subscriptions, and loads nothing from elsewhere."""
    return _FILE.read_text(encoding="utf-8")
