# Two commands: `make run` and `make test`. The README says the rest.

PYTHON ?= $(shell command -v python3.11 || echo python3)
PORT ?= 8000
DATA_DIR ?= var
export PORT DATA_DIR

BIN := .venv/bin

MINUTES ?= 5
.PHONY: run test coverage mutants security-report limits messages help-pictures benchmark soak load crash-test kills refusals screens lint format lock clean

run: .venv/runs
	@exec $(BIN)/python -m datica_account.run

test: .venv/tests
	@$(BIN)/python -m tests.check

coverage: .venv/tests
	@$(BIN)/python -m tests.check coverage

mutants: .venv/tests
	@$(BIN)/python -m tests.mutants

screens: .venv/tests
	@$(BIN)/python -m pytest tests/screens.py

help-pictures: .venv/tests
	@$(BIN)/python -m pytest tests/help_pictures.py

security-report: .venv/tests
	@$(BIN)/python -m tests.security_report

# After a change of texts. Needs gettext: `apt-get install gettext`.
messages: .venv/tests
	@DEVELOPMENT=1 $(BIN)/python -W ignore manage.py makemessages --all --no-wrap --no-location --no-obsolete \
	  -i .venv -i var -i staticfiles -i tests -i benchmarks
	@DEVELOPMENT=1 $(BIN)/python -W ignore manage.py compilemessages -i .venv

limits: .venv/tests
	@DEVELOPMENT=1 $(BIN)/python -W ignore manage.py shell --verbosity 0 --command 'from tests import limits_table; limits_table.write()'

benchmark: .venv/tests
	@$(BIN)/python -W ignore -m benchmarks.signin_cost
	@$(BIN)/python -W ignore -m benchmarks.signin_timing
	@$(BIN)/python -W ignore -m benchmarks.scale

soak: .venv/runs
	@MINUTES=$(MINUTES) $(BIN)/python -m benchmarks.soak

load: .venv/tests
	@$(BIN)/python -W ignore -m benchmarks.load

crash-test: .venv/tests
	@$(BIN)/python -m pytest -s tests/test_reminder_crash.py

kills: .venv/tests
	@$(BIN)/python -W ignore -m benchmarks.mail_kills

refusals: .venv/tests
	@$(BIN)/python -W ignore -m benchmarks.mail_kills refusals

lint: .venv/tests
	@$(BIN)/python -m tests.check lint

format: .venv/tests
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.venv/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) is missing: install Python 3.11 (with venv), or name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: install it (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "Making the virtual environment …"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/runs: requirements.txt | .venv/python
	@echo "Installing what the portal needs …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/tests: requirements-dev.txt .venv/runs
	@echo "Installing what the tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

lock: .venv/python
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements.in -o requirements.txt
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements-extras.in -o requirements-extras.txt
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements-dev.in -o requirements-dev.txt

clean:
	@rm -rf .venv screens staticfiles
