# SPDX-License-Identifier: GPL-2.0-only
#
# kbroker: "make help" lists the targets. The module is built for one kernel at
# a time (KERNEL=), out of the sources, into build/.

KERNEL	?= 6.1
BUILD	?= $(CURDIR)/build
DESTDIR	?=
V	?=

export KBROKER_KERNEL	:= $(filter 6.1 6.12,$(KERNEL))
export KBROKER_BUILD	:= $(abspath $(BUILD))

ifeq ($(KBROKER_KERNEL),)
unexport KBROKER_KERNEL
endif

all: modules tools

help:
	@echo "make demo            see it work: builds, boots a throw-away machine, cuts its power"
	@echo "make check           test it, in about ten minutes once the caches are warm"
	@echo "make shell           a shell in a machine with the module loaded"
	@echo ""
	@echo "make modules         kbroker.ko for KERNEL: 6.1 (default), 6.12, running, uml"
	@echo "make tools           the kbroker command, its library, man pages"
	@echo "make install         both, for this machine's running kernel (DESTDIR, PREFIX)"
	@echo "make docs            the documentation, as HTML, into build/docs"
	@echo ""
	@echo "make kunit           KUnit suites in the user-mode kernel, under KASAN and lockdep"
	@echo "make selftest        tests of the whole, on KERNEL"
	@echo "make interop         Kafka clients that others wrote, on KERNEL"
	@echo "make soak            mixed Kafka clients for half an hour"
	@echo "make check-static    layers, style, sparse, documents"
	@echo "make check-long      check, and what does not fit its minutes"
	@echo "make check-debug     KUnit and all selftests under KASAN, lockdep, UBSAN and kmemleak"
	@echo "make check-chaos     ten thousand simulated clusters, and one of machines that die"
	@echo "make check-one SUITE=NAME    one suite of tests/suites"
	@echo "make fuzz            libFuzzer over every parser, FUZZ_SECONDS=60 each"
	@echo "make coverage        line coverage of kmod/ by the KUnit suites"
	@echo "make bench           measurements, as JSON and a table"
	@echo "make clean           remove build/ (kernels and sources stay in ~/.cache/kbroker)"

# --- building ---------------------------------------------------------------

setup-%:
	@tests/lib/setup.sh $*

modules:
	@case $(KERNEL) in 6.1|6.12) tests/lib/setup.sh build-$(KERNEL) ;; uml*) tests/lib/setup.sh uml ;; esac
	@tools/build/module $(KERNEL)

tools: setup-tools setup-daemon
	@$(MAKE) --no-print-directory -C tools BUILD=$(KBROKER_BUILD)/tools

install:
	@tools/build/module running
	install -D -m 0644 $(BUILD)/running/kbroker.ko $(DESTDIR)/lib/modules/$(shell uname -r)/updates/kbroker.ko
	[ -n "$(DESTDIR)" ] || depmod
	$(MAKE) --no-print-directory -C tools BUILD=$(KBROKER_BUILD)/tools install

docs: setup-docs
	@sphinx-build -q -W --keep-going -b html -d $(KBROKER_BUILD)/docs/.trees Documentation $(KBROKER_BUILD)/docs

clean:
	rm -rf $(BUILD)

# --- trying -----------------------------------------------------------------

demo:
	@tests/demo/run

shell: setup-demo modules tools
	@tests/vm/run --interactive --timeout 86400 -- tests/demo/shell

# --- testing ----------------------------------------------------------------

check: setup-check
	@tests/run

check-long: setup-all
	@tests/run --long

check-debug: setup-check
	@tests/run kunit faults selftest-uml

check-chaos: setup-check
	@tests/run --verbose chaos machines

check-static: setup-check
	@tests/run static

check-one: setup-check
	@tests/run --verbose $(SUITE)

kunit: setup-uml
	@tests/kunit/run

selftest: setup-selftest modules tools
	@tests/selftests/run --kernel $(KERNEL)

interop: modules tools
	@tests/interop/run --kernel $(KERNEL)

soak: setup-uml modules tools
	@KBROKER_SOAK_SECONDS=$(or $(SOAK_SECONDS),1800) tests/interop/run --uml --long soak

fuzz: setup-fuzz
	@tests/fuzz/run --seconds $(or $(FUZZ_SECONDS),60)

coverage: setup-uml setup-coverage
	@tests/kunit/coverage

bench: setup-bench tools
	@tests/bench/run
	@tests/bench/listener

.PHONY: all help modules tools install docs clean demo shell check check-long check-chaos check-debug check-static check-one \
	kunit selftest interop soak fuzz coverage bench
