"""How is a message's bytes read? One module for each layer of it; `domain.mime_parse` puts them together."""
