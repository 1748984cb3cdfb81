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

# Most tests wait, so they run in processes side by side. Those that measure time, fill a store or kill processes run
# after them, with the machine to themselves. ARGS: what to run instead; FLAGS: pytest's, for both.
ALONE := tests/failures tests/bench tests/jobs tests/properties/test_neighbours.py
test: environment
ifdef ARGS
	@$(BIN)/python -m pytest $(FLAGS) $(ARGS)
else
	@status=0; \
	$(BIN)/python -m pytest $(FLAGS) -n 3 --dist loadfile $(addprefix --ignore=,$(ALONE)) || status=1; \
	$(BIN)/python -m pytest $(FLAGS) $(ALONE) || status=1; \
	exit $$status
endif

check: environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

bench: environment
	@$(BIN)/python -m tests.bench $(ARGS)

soak: environment
	@$(BIN)/python -m tests.failures.soak $(ARGS)

# The header would name paths, and the URL of an index is each machine's own. Extras stay: pip wants them pinned too.
lock:
	uv pip compile --upgrade --universal --generate-hashes --no-emit-index-url --no-strip-extras --no-header --quiet \
	  --python-version 3.11 --all-extras pyproject.toml -o requirements.lock
