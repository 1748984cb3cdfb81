# Nothing but make and Python 3.11 or later is needed; everything else comes from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: up test check bench soak lock environment
.DEFAULT_GOAL := up

# It does nothing when .venv is newer than the lock and pyproject.toml.
environment:
	@$(PYTHON) .ci/environment.py

up: environment
	@exec $(BIN)/poolgate up --sandbox

test: environment
	@$(BIN)/python -m pytest $(ARGS)

check: environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(ARGS)

bench: environment
	@$(BIN)/python -m tests.bench $(ARGS)

soak: environment
	@$(BIN)/python -m tests.failures.soak $(ARGS)

# The header would name paths, and the URL of an index is each machine's own. Extras stay: pip wants them pinned too.
lock:
	uv pip compile --upgrade --universal --generate-hashes --no-emit-index-url --no-strip-extras --no-header --quiet \
	  --python-version 3.11 --all-extras pyproject.toml -o requirements.lock
