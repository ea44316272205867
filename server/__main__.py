"""`python -m server`: the `postroom` command without its installed script."""

from server.cli import main

main()
