# SPDX-License-Identifier: Apache-2.0
# Needs: python3 (3.11 or newer, with venv and pip), make, a package index.
# No root, but where it is said; everything that it makes lies in this
# directory, ignored by git.
#
#   make demo [ARGS=...]        a cloud in one process loses a host
#   make test                   linters, then all tiers of tests
#   make lint
#   make tiers TIERS="unit db"  some tiers only
#   make -j3 -O test            tiers beside each other, as CI does
#   make lab ARGS=...           a cloud of separate processes: up, down, kill ...
#   make bench [ARGS=...]       the stopwatch on such a cloud; ARGS=--help
#   make tier-lab               a failure and storms on such a cloud
#   make chaos [ARGS=...]       ten minutes of seeded faults on such a cloud
#   make tier-truehosts         failures of hosts that run guests (root)
#   make mutants [ARGS=...]     deliberate bugs: are they noticed? (long)
#   make constraints            pin again what is installed now
#   make genconfig              etc/nova/nova-pets.conf.sample anew
#   make clean
#
# NOVA=33 or NOVA=31 selects the version of nova that is installed (34).

NOVA ?= 34
PYTHON ?= python3
ARGS ?=
TIERS ?= unit db simulator fencing functional executable packaging
PYTEST_ARGS ?= -q
# A tier that takes longer than this many seconds hangs, and has failed.
LIMIT_S ?= 3600

VENV := .venv-$(NOVA)
BIN := $(VENV)/bin
CONSTRAINTS := constraints-$(NOVA).txt
# The lab has more of OpenStack in its environment; this Makefile calls itself
# with that as VENV.
LAB_VENV := .venv-lab-$(NOVA)
PIP := $(BIN)/python -m pip --disable-pip-version-check
# nova_pets/tests/tiers.sh says how a tier is run, and why so.
run_tiers = NOVA_PETS_TIERS=$(1) PYTHON=$(BIN)/python LIMIT_S=$(LIMIT_S) \
    sh nova_pets/tests/tiers.sh $(VENV) $(PYTEST_ARGS)

# Bytecode is kept: without it every process compiles all of nova again.
unexport PYTHONDONTWRITEBYTECODE

# pbr asks git for the version. A tree without git (an unpacked archive, a
# machine without git, a clone of another user) gets this one.
ifneq ($(shell git rev-parse --is-inside-work-tree 2>/dev/null),true)
export PBR_VERSION ?= 1.0.0.dev0
endif

# A stamp is named after the content of what was installed from, so that an
# environment is made anew when that changes, and only then.
digest = $(shell cat $(1) 2>/dev/null | cksum | tr ' ' '-')
RUN_FILES := requirements.txt demo-requirements.txt $(CONSTRAINTS)
OWN_FILES := setup.cfg setup.py pyproject.toml requirements.txt \
             nova_pets/_nova_manage.pth
LAB_FILES := lab-requirements.txt constraints-lab.txt
MADE := $(VENV)/.made-$(shell $(PYTHON) -V 2>&1 | tr ' ' '-')
RUN_STAMP := $(VENV)/.run-$(call digest,$(RUN_FILES))
TEST_STAMP := $(VENV)/.test-$(call digest,$(RUN_FILES) test-requirements.txt)
LAB_STAMP := $(VENV)/.lab-$(call digest,$(RUN_FILES) $(LAB_FILES))
TRUE_FILES := $(LAB_FILES) truehosts-requirements.txt
TRUE_STAMP := $(VENV)/.true-$(call digest,$(RUN_FILES) $(TRUE_FILES))
OWN_STAMP := $(VENV)/.own-$(call digest,$(OWN_FILES))

# $(call install,what,pip arguments,stamp): a line every ten packages, the
# log shown when it fails. pip's exit code does not pass a pipe in sh, so the
# stamp tells. --no-compile: Python compiles what it really imports.
define install
@echo "==> $(VENV): installing $(1)"
@{ $(PIP) install --no-compile $(2) 2>&1 && touch $(3); } \
    | tee $(VENV)/pip.log | { n=0; while IFS= read -r line; do \
    case $$line in \
    Collecting*) n=$$((n + 1)); \
        [ $$((n % 10)) -ne 0 ] || echo "    $$n packages";; \
    "Installing collected"*) echo "    $$n packages; unpacking them";; \
    esac; done; }
@[ -e $(3) ] || { tail -n 40 $(VENV)/pip.log; exit 1; }
endef

.PHONY: demo test lint tiers $(TIERS:%=tier-%) tier-lab lab chaos \
    lab-in-venv tier-lab-in-venv tier-truehosts tier-truehosts-in-venv venv \
    bench bench-in-venv mutants constraints genconfig clean

demo: $(RUN_STAMP) $(OWN_STAMP)
	@$(BIN)/python -m nova_pets.tests.demo $(ARGS)

test: lint tiers

venv: $(TEST_STAMP) $(OWN_STAMP)

lint: $(TEST_STAMP) $(OWN_STAMP)
	@echo "==> ruff"
	@$(BIN)/ruff check --quiet .
	@echo "==> bandit"
	@$(BIN)/bandit --quiet -c pyproject.toml -r nova_pets 2>$(VENV)/bandit.log
	@echo "==> mypy"
	@$(BIN)/mypy

# All of them are run, whatever the ones before said; then the target fails.
tiers: $(TIERS:%=tier-%)
	@failed=; for tier in $(TIERS); do \
	    [ ! -e $(VENV)/.failed-$$tier ] || failed="$$failed $$tier"; \
	done; [ -z "$$failed" ] || { echo "==> failed:$$failed"; exit 1; }

# With make -j: first what needs every processor, then what mostly waits.
tier-db tier-fencing: | $(filter tier-unit tier-simulator,$(TIERS:%=tier-%))
tier-functional tier-executable: | \
    $(filter tier-unit tier-simulator tier-db tier-fencing,$(TIERS:%=tier-%))
tier-packaging: | \
    $(filter tier-unit tier-simulator tier-db tier-executable,\
    $(TIERS:%=tier-%))

$(TIERS:%=tier-%): tier-%: $(TEST_STAMP) $(OWN_STAMP)
	@rm -f $(VENV)/.failed-$*
	@echo "==> nova $(NOVA)"
	@$(call run_tiers,$*) || touch $(VENV)/.failed-$*

# True hosts need libvirt, which is compiled.
lab:
	@$(MAKE) --no-print-directory VENV=$(LAB_VENV) lab-in-venv \
	    $(if $(findstring --true-hosts,$(ARGS)),LAB_NEEDS='$$(TRUE_STAMP)')

chaos:
	@$(MAKE) --no-print-directory lab ARGS='chaos $(ARGS)'

LAB_NEEDS = $(LAB_STAMP)
lab-in-venv: $(LAB_NEEDS) $(OWN_STAMP)
	@$(BIN)/python -m nova_pets.tests.lab $(ARGS)

bench:
	@$(MAKE) --no-print-directory VENV=$(LAB_VENV) bench-in-venv

bench-in-venv: $(LAB_STAMP) $(OWN_STAMP)
	@$(BIN)/python -m nova_pets.tests.bench.stopwatch $(ARGS)

tier-lab:
	@$(MAKE) --no-print-directory VENV=$(LAB_VENV) tier-lab-in-venv

tier-lab-in-venv: $(LAB_STAMP) $(OWN_STAMP)
	@echo "==> nova $(NOVA)"
	@$(call run_tiers,lab)

tier-truehosts:
	@$(MAKE) --no-print-directory VENV=$(LAB_VENV) tier-truehosts-in-venv

tier-truehosts-in-venv: $(TRUE_STAMP) $(OWN_STAMP)
	@echo "==> nova $(NOVA)"
	@$(call run_tiers,truehosts)

mutants: $(TEST_STAMP) $(OWN_STAMP)
	@nice -n 10 $(BIN)/python -m nova_pets.tests.mutants $(ARGS)

$(MADE):
	@echo "==> $(VENV): a new virtual environment"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUN_STAMP): $(MADE)
	@rm -f $(VENV)/.run-*
	$(call install,nova $(NOVA) and what the demo needs,-c $(CONSTRAINTS) \
	    -r requirements.txt -r demo-requirements.txt 'setuptools>=70.1',$@)

# Not beside the other: two pips in one environment.
$(TEST_STAMP): $(RUN_STAMP) | $(OWN_STAMP)
	@rm -f $(VENV)/.test-*
	$(call install,the tools of the tests,-c $(CONSTRAINTS) \
	    -r requirements.txt -r test-requirements.txt,$@)

$(LAB_STAMP): $(RUN_STAMP) | $(OWN_STAMP)
	@rm -f $(VENV)/.lab-*
	$(call install,the services of the lab,-c $(CONSTRAINTS) \
	    -c constraints-lab.txt -r requirements.txt -r lab-requirements.txt,$@)

# Compiled against libvirt-dev.
$(TRUE_STAMP): $(LAB_STAMP)
	@rm -f $(VENV)/.true-*
	$(call install,libvirt for true hosts,-c $(CONSTRAINTS) \
	    -c constraints-lab.txt -r truehosts-requirements.txt,$@)

$(OWN_STAMP): $(RUN_STAMP)
	@rm -f $(VENV)/.own-*
	$(call install,nova-pets itself,--no-deps --no-build-isolation \
	    --config-settings editable_mode=compat -e .,$@)

constraints: venv
	@{ sed -n '/^#/p' $(CONSTRAINTS); \
	   $(PIP) freeze --exclude-editable --all 2>/dev/null \
	   | grep -vi '^pip=='; } > $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt $(CONSTRAINTS)

genconfig: $(RUN_STAMP) $(OWN_STAMP)
	@$(BIN)/oslo-config-generator --namespace nova_pets --wrap-width 80 \
	    --output-file etc/nova/nova-pets.conf.sample

clean:
	rm -rf .venv-* .tox .pytest_cache .mypy_cache .ruff_cache build dist \
	    *.egg-info AUTHORS ChangeLog
