# JetLedger: `make run` and `make test` need Node.js 20.19 or later, npm and make; everything else is fetched by them.
# Every target has an npm script behind it (see package.json); what a recipe adds is setting up and building first.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# npm keeps to progress and errors.
NPM_CI := npm ci --no-audit --no-fund --loglevel=error
NPM_RUN := npm run --silent

STAMP := node_modules/.installed-lock
BUILT := dist/.built
# Folders too, so that a removed file counts as a change.
SOURCES := $(shell find src -type d -o -name '*.ts' -o -path 'src/api/console/*') configs/console.mjs configs/program.mjs tsconfig.json configs/tsconfig.build.json

##@ Use
.PHONY: run
run: $(BUILT) ## Start everything: embedded NATS server and service, on http://localhost:3000
	@exec node dist/cli/jetledger.js serve

.PHONY: demo
demo: $(BUILT) ## Walk through users, products and orders; starts a service of its own if none runs
	@exec node dist/cli/jetledger.js demo

.PHONY: cluster
cluster: $(BUILT) ## Start three NATS servers and three services, on ports 3000 to 3002, for trying fail-over by hand
	@exec node dist/cli/jetledger.js cluster

##@ Check
.PHONY: test
test: setup ## Run all tests (TEST="path or name" runs some of them)
	@exec $(NPM_RUN) test -- $(TEST)

.PHONY: quick
quick: setup ## Run the tests that need no server, within a minute: unit, property, contract in memory, architecture
	@exec $(NPM_RUN) quick

.PHONY: check
check: setup ## Every check of the CI but the tests: types, lint, imports, dead code, protos, texts
	@exec .ci/run checks

.PHONY: ci
ci: ## What the CI runs: tests and checks
	@exec .ci/run

.PHONY: types
types: setup ## Check the types
	@$(NPM_RUN) types

.PHONY: lint
lint: setup ## Lint, formatting and import rules
	@$(NPM_RUN) lint && $(NPM_RUN) imports

.PHONY: simulate
simulate: setup ## Run kernel, e-mail, engine and order process through seeded schedules with faults (ARGS="--schedules 100000")
	@exec $(NPM_RUN) simulate -- $(ARGS)

.PHONY: audit
audit: setup ## Try to break the event store: faults on real servers, then check every acknowledged commit
	@exec $(NPM_RUN) audit -- $(ARGS)

.PHONY: scale
scale: setup ## Measure with many aggregates (ARGS="--aggregates 1000000")
	@exec $(NPM_RUN) scale -- $(ARGS)

.PHONY: bench
bench: setup ## Measure beside the bare client; ARGS="--peers" adds emmett on PostgreSQL, ARGS="--only append" one part
	@exec $(NPM_RUN) bench -- $(ARGS)

##@ Change
.PHONY: format
format: setup ## Format the code and the protos
	@$(NPM_RUN) format

.PHONY: fix
fix: setup ## Run every generator: src/gen, proto baseline, golden bytes, reference pages, format
	@$(NPM_RUN) fix

.PHONY: generate
generate: setup ## Make src/gen from proto
	@$(NPM_RUN) generate

.PHONY: proto-accept
proto-accept: setup ## Accept compatible changes of proto into its baseline
	@$(NPM_RUN) proto:accept

##@ Set-up
# npm ci only when the lockfile is another one than was installed; its content counts, not its age.
.PHONY: setup
setup: node-version ## Install the dependencies, if they changed
	@cmp -s package-lock.json $(STAMP) || { \
	  echo 'Installing dependencies (once, until package-lock.json changes) ...' && \
	  $(NPM_CI) && ln -sf ../../dist/cli/jetledger.js node_modules/.bin/jetledger && cp package-lock.json $(STAMP); }

.PHONY: build
build: $(BUILT) ## Compile src to dist, if it changed

$(BUILT): $(SOURCES) | setup
	@echo 'Building ...'
	@$(NPM_RUN) build
	@touch $@

.PHONY: clean
clean: ## Remove what was built and installed; the data in .jetledger stays
	@rm -rf dist coverage node_modules

# Old syntax on purpose: an old Node has to be able to read it.
.PHONY: node-version
node-version:
	@command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || { \
	  echo 'JetLedger needs Node.js 20.19 or later with npm, and there is none on PATH: install it from https://nodejs.org.' >&2; exit 1; }
	@node -e 'var v = process.versions.node.split("."); process.exit(v[0] > 20 || (v[0] == 20 && v[1] >= 19) ? 0 : 1)' || { \
	  echo "JetLedger needs Node.js 20.19 or later, and this is $$(node -v): install a newer one from https://nodejs.org." >&2; exit 1; }

##@ Help
.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
