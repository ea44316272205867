# Postroom's commands. Each does its own set-up, in .venv, and again only when pyproject.toml or the lock has changed.

.DEFAULT_GOAL := help
.PHONY: help install check test schema demo up bench-inbox bench-live bench-fanout bench-import lock

PYTHON_IN_VENV := .venv/bin/python
INSTALLED := .venv/.installed

help:  ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

install: $(INSTALLED)  ## Make .venv with everything in it

$(INSTALLED): pyproject.toml requirements.lock scripts/ensure_venv.sh
	@scripts/ensure_venv.sh
	@touch $@

check: $(INSTALLED)  ## Format, lint, types, layers, schema: all that needs no server
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON_IN_VENV) -m scripts.export_schema --check

test: $(INSTALLED)  ## Every test, against real PostgreSQL, Valkey, Dovecot and Chromium
	@scripts/ensure_mail_server.sh
	@scripts/ensure_browser.sh
	$(PYTHON_IN_VENV) -m pytest

schema: $(INSTALLED)  ## Write schema.graphql from the code
	$(PYTHON_IN_VENV) -m scripts.export_schema

demo: $(INSTALLED)  ## Two recruiters' mailboxes, connected, imported and live
	@scripts/ensure_mail_server.sh
	$(PYTHON_IN_VENV) -m demo

up: $(INSTALLED)  ## The server with all its roles, on embedded PostgreSQL and Valkey unless URLs are given
	.venv/bin/postroom up

bench-inbox: $(INSTALLED)  ## An inbox and a conversation read, beside endpoints written by hand (SCALE=small|full)
	$(PYTHON_IN_VENV) -m bench.inbox

bench-live: $(INSTALLED)  ## From a mail server's notice to a WebSocket client: how long?
	@scripts/ensure_mail_server.sh
	$(PYTHON_IN_VENV) -m bench.live
	$(PYTHON_IN_VENV) -m bench.live_import

bench-fanout: $(INSTALLED)  ## How soon does an event reach 1,000 or 10,000 clients? SCALE=small|full
	$(PYTHON_IN_VENV) -m bench.fanout

bench-import: $(INSTALLED)  ## How fast does a mailbox come in, beside a bare socket? SCALE=small|full
	@scripts/ensure_mail_server.sh
	$(PYTHON_IN_VENV) -m bench.imports

lock:  ## Resolve the dependencies of pyproject.toml anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --upgrade --quiet \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock
