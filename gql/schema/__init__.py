"""The shapes that clients see; `root` builds the schema of them."""
