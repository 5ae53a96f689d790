# The project's commands. `make demo` and `make test` set up all they need on a fresh Debian 12
# machine (as root: they install packages by name and boot nodes in network namespaces).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := PYTHONPATH=packaging $(BIN)/python -m muster_packages

# What building, the lab and the tests run on this machine; the nodes' own packages are in the
# lab's image.
SYSTEM_PACKAGES := binutils dpkg iproute2 lintian mandoc mmdebstrap nftables openssl python3-venv \
    qemu-utils rpm rpmlint systemd util-linux zsh

.PHONY: help
help:
	@echo 'make demo    three nodes found a fenced cluster here, while you watch'
	@echo 'make test    everything: the package, the checks, all tests (the lab included)'
	@echo 'make lab-long  what is too long for `make test`: five nodes at once, the daemon at rest'
	@echo 'make fuzz    random input against every door (minutes); `make test` has a short run'
	@echo 'make sim     whole daemons in virtual time, SEEDS=2000 stories of trouble'
	@echo 'make check   lint, types and the scan for banned constructs'
	@echo 'make audit   the bundled libraries against known vulnerabilities; needs PyPI itself'
	@echo 'make deb     dist/muster_VERSION_amd64.deb'
	@echo 'make rpm     dist/muster-VERSION-1.x86_64.rpm, for RHEL 8 and 9'

.PHONY: demo
demo: venv lab-deps deb
	tests/lab/demo

.PHONY: test
test: venv lab-deps deb check
	$(BIN)/pytest

.PHONY: lab-long
lab-long: venv lab-deps deb
	$(BIN)/pytest -m long tests/lab tests/bench

.PHONY: check
check: lint scan
	$(BIN)/mypy

# Constructs that must not stand in the source; `lint` has bandit's rules besides (ruff's S).
.PHONY: scan
scan: venv
	$(BIN)/pytest --quiet tests/security/test_source.py

# The bundled libraries against the published vulnerabilities. Not a part of `check`: the database
# is PyPI's JSON interface, so it needs the network, and a mirror that has only packages does not
# do; a library that could not be looked up is then an error, not a pass.
.PHONY: audit
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	build/audit/bin/pip install --quiet --disable-pip-version-check --group audit
	build/audit/bin/pip-audit --strict --disable-pip --require-hashes \
	    --progress-spinner off --requirement packaging/requirements.lock

.PHONY: lint
lint: venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: deb
deb: venv lab-deps
	@$(PACKAGES) deb

# The control sockets' description, from the routes and the public models; commit the result.
.PHONY: openapi
openapi: venv
	$(BIN)/python -c 'import json; from musterd.api.control import ROUTES; \
	    from musterd.api.openapi import document; \
	    print(json.dumps(document(ROUTES), indent=2))' > docs/openapi.json

.PHONY: rpm
rpm: venv lab-deps
	@$(PACKAGES) rpm

# Resolves the bundled libraries anew; commit the result.
.PHONY: lock
lock: venv
	@$(PACKAGES) lock

# What follows from the code: the schema of the status, manual pages, completions, tables.
.PHONY: pages
pages: venv
	@PYTHONPATH=packaging:daemon:client $(BIN)/python -m muster_pages

# Puts packaging/aws/node-policy.json into the CloudFormation template; commit the result.
.PHONY: stack
stack: venv
	@$(PACKAGES) stack

# What `muster image` calls, as the policy of whoever builds images; commit the result.
.PHONY: policy
policy: venv
	@$(PACKAGES) policy

# Each benchmark prints its figures; `make bench-cli BENCH=--write` puts them into docs/benchmarks.md.
BENCH ?=
.PHONY: bench-form
bench-form: venv lab-deps deb
	$(BIN)/python tests/bench/form.py $(BENCH)

.PHONY: bench-footprint
bench-footprint: venv lab-deps deb
	$(BIN)/python tests/bench/footprint.py $(BENCH)

# A founding killed at every point of every verb, a minute each; goes on where it was interrupted.
.PHONY: kill-matrix
kill-matrix: venv lab-deps deb
	tests/lab/kill-matrix --write

.PHONY: bench-cli
bench-cli: venv lab-deps deb
	$(BIN)/python tests/bench/cli.py $(BENCH)

# A founding while 200 callers at a time ask for the status. Half an hour on two processors.
.PHONY: bench-crowd
bench-crowd: venv lab-deps deb
	$(BIN)/python tests/bench/crowd.py $(BENCH)

# What an administrator sees, from a real cluster into docs/captures; needs tmux.
.PHONY: captures
captures: venv lab-deps deb
	$(BIN)/python tests/lab/captures.py

# Every interleaving of the election's messages and crashes, up to stated bounds (docs/simulation.md).
.PHONY: explore
explore: venv
	$(SIM) --explore --write docs/simulation.md

# Whole daemons in virtual time, a story of trouble from each seed: `make sim SEEDS=100000`. Takes
# all processors; PROCESSES= says otherwise, KEEP= names a file that keeps each result, and
# SIM_PYTHON= another Python: PyPy needs half the time (docs/simulation.md).
SEEDS ?= 2000
SIM_PYTHON ?= $(BIN)/python
SIM := PYTHONPATH=tests/sim:tests/bench:tests/lab:daemon:client nice $(SIM_PYTHON) -m muster_sim
.PHONY: sim
sim: venv
	$(SIM) --seeds $(SEEDS) $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(KEEP),--keep $(KEEP))

# The same with day two mixed in: instances come, leave, are replaced and lose their disk meanwhile.
.PHONY: sim-mixed
sim-mixed: venv
	$(SIM) --mixed --seeds $(SEEDS) $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(KEEP),--keep $(KEEP))

# The same for what comes after the founding: members join, leave, die, lose their disk.
.PHONY: sim-lives
sim-lives: venv
	$(SIM) --lives --seeds $(SEEDS) $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(KEEP),--keep $(KEEP))

# The election written wrongly in every way one could: what finds it, and how soon.
.PHONY: sim-broken
sim-broken: venv
	$(SIM) --broken --seeds $(SEEDS)

# What a founding of 3, 7, 15 and 100 nodes costs in messages. The last takes a while.
.PHONY: sim-cost
sim-cost: venv
	$(SIM) --cost 3 7 15 100

# Random input against the peer port, the control socket, the helper and the token parser; writes
# its figures into docs/fuzzing.md.
INPUTS ?= 20000
.PHONY: fuzz
fuzz: venv
	PYTHONPATH=tests/fuzz:daemon:client nice $(BIN)/python -m muster_fuzz --inputs $(INPUTS)

.PHONY: venv
venv: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory lab-deps
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check --group dev --editable .
	touch $@

# Quick when nothing is missing; the package lists are fetched only if a package is not known.
.PHONY: lab-deps
lab-deps:
	@missing=; for name in $(SYSTEM_PACKAGES); do \
	    dpkg-query --show --showformat='$${db:Status-Status}\n' $$name 2>/dev/null \
	        | grep -qx installed || missing="$$missing $$name"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	echo "installing$$missing"; \
	install='apt-get install --yes --quiet --no-install-recommends'; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$install $$missing || { apt-get update && $$install $$missing; }

.PHONY: clean
clean:
	rm -rf build dist $(VENV)
