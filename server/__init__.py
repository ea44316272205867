"""The edge to the network and to the terminal: HTTP, WebSockets, commands."""
