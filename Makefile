# Nightjar's build. Everything it makes goes below build/.
#
#   make            build all
#   make deps       install what building and running need (Debian and Ubuntu packages, as root)
#   make deps-test  the same for the tests
#   make check      unit tests and the layer and size checks: the inner loop
#   make test       every suite, with a budget table and the closing line
#   make clean      remove build/
#
# Variables: CC=gcc|clang, V=1 shows commands, SANITIZE=address,undefined or thread builds below
# build/SANITIZE instead.

SANITIZE ?=
BUILD := build$(if $(SANITIZE),/san-$(subst $(comma),-,$(SANITIZE)))
comma := ,
Q := $(if $(V),,@)

CFLAGS ?= -O2 -g
# A sentence that is cut is still a sentence: truncation by snprintf is meant, so not a warning.
WARN := -Wall -Wextra -Werror -Wshadow -Wundef -Wformat=2 -Wno-format-truncation -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -fno-common $(WARN) -I. -I$(BUILD)/gen $(CFLAGS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
ALL_LDFLAGS := $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

COMMON_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard common/*.c))
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all deps deps-test check test clean
.DEFAULT_GOAL := all
.SECONDARY:

all: $(COMMON_OBJ)

DEPS := gcc libc6-dev
DEPS_TEST := libcmocka-dev
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0

deps:
	$(Q)dpkg -s $(DEPS) >/dev/null 2>&1 || { $(APT) update && \
		$(APT) install -y --no-install-recommends $(DEPS) >/dev/null; }

deps-test: deps
	$(Q)dpkg -s $(DEPS_TEST) >/dev/null 2>&1 || { $(APT) update && \
		$(APT) install -y --no-install-recommends $(DEPS_TEST) >/dev/null; }

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(COMMON_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka

check: $(UNIT_BIN)
	$(Q)tests/run-unit $(BUILD)/tests/unit

test: deps-test
	$(Q)$(MAKE) --no-print-directory check

clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
