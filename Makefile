# Nightjar's build. Everything it makes goes below build/.
#
#   make            build all
#   make run        deps, build, then nightjar dev on this host; ARGS="--json" passes flags
#   make install    programs, systemd units and bash completion below DESTDIR and PREFIX (/usr/local)
#   make deps       install what building and running need (Debian and Ubuntu packages, as root)
#   make deps-test  the same for the tests
#   make images     container images of both programs in build/images/, with buildah
#   make check-bpf  the kernel programs against the running kernel, as root
#   make check-kernel  the same on other kernels, emulated
#   make check      unit tests and the layer and size checks: the inner loop
#   make test       every suite, with a budget table and the closing line; SUITES="unit tsan" runs some
#   make lint       layers, sizes, shell syntax, cppcheck
#   make clean      remove build/
#   make help       print this
#
# Variables: CC=gcc|clang, V=1 shows commands, SANITIZE=address,undefined or thread builds below
# build/san-… instead, ARCH=arm64 below build/arm64.
#
# How it fits together: proto/*.proto → build/gen/*.pb-c.[ch] (protoc-c); bpf/*.bpf.c → bitcode → one
# object (clang -target bpf) → skeleton header (bpftool); every .c file of common/, node-agent/,
# collector/ and tools/nightjar/ → an object → three programs in build/bin/. Unit tests link all
# objects but the main.c files.

SANITIZE ?=
comma := ,
# Another architecture: its libraries come from a sysroot that tests/kernel/packages fills.
ARCH ?=
TRIPLE := $(if $(filter arm64,$(ARCH)),aarch64-linux-gnu)
ARCH_DIR := build$(if $(ARCH),/$(ARCH))
SYSROOT ?= $(or $(NJ_CACHE),$(HOME)/.cache/nightjar)/kernel/sysroot-$(ARCH)
ifneq ($(ARCH),)
override CC := $(shell command -v ccache) $(TRIPLE)-gcc --sysroot=$(SYSROOT)
endif
BPF_ARCH := $(if $(filter arm64 aarch64,$(or $(ARCH),$(shell uname -m))),arm64,x86)
BUILD := $(ARCH_DIR)$(if $(SANITIZE),/san-$(subst $(comma),-,$(SANITIZE)))
GEN := build/gen
Q := $(if $(V),,@)

CFLAGS ?= -O2 -g
# A sentence that is cut is still a sentence: truncation by snprintf is meant, so not a warning.
WARN := -Wall -Wextra -Werror -Wshadow -Wundef -Wformat=2 -Wno-unknown-warning-option \
	-Wno-format-truncation -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -fno-common -pthread $(WARN) -I. -isystem $(ARCH_DIR)/gen -isystem $(GEN) $(CFLAGS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
ALL_LDFLAGS := -pthread $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

PROTO := $(wildcard proto/nightjar/v1/*.proto proto/grpc/*/*/*.proto)
PB_C := $(patsubst proto/%.proto,$(GEN)/%.pb-c.c,$(PROTO)) $(GEN)/google/protobuf/timestamp.pb-c.c
PB_H = $(PB_C:.c=.h) $(CRI_C:.c=.h)
# What the agent asks of a container runtime: not ours, so not in what reflection serves.
CRI_C := $(patsubst proto/%.proto,$(GEN)/%.pb-c.c,$(wildcard proto/cri/*/*/*.proto))
PROTO_SET := $(GEN)/descriptors.h
BPF_OBJ := $(patsubst bpf/%.bpf.c,$(ARCH_DIR)/bpf/%.bpf.bc,$(wildcard bpf/*.bpf.c))
SKELETON := $(ARCH_DIR)/gen/nightjar.skel.h

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/main.c,$(wildcard $(1))))
PB_OBJ := $(patsubst $(GEN)/%.c,$(BUILD)/obj/gen/%.o,$(PB_C))
COMMON_OBJ := $(call objects,common/*.c) $(PB_OBJ)
CRI_OBJ := $(patsubst $(GEN)/%.c,$(BUILD)/obj/gen/%.o,$(CRI_C))
AGENT_OBJ := $(call objects,node-agent/*.c) $(CRI_OBJ)
COLLECTOR_OBJ := $(call objects,collector/*.c collector/*/*.c)
TOOL_OBJ := $(call objects,tools/nightjar/*.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT_SRC))
BPF_TEST_BIN := $(patsubst tests/bpf/%.c,$(BUILD)/tests/bpf/%,$(wildcard tests/bpf/test_*.c))
BIN := $(patsubst %,$(BUILD)/bin/%,$(if $(wildcard node-agent/main.c),nightjar-agent) \
	$(if $(wildcard collector/main.c),nightjar-collector) $(if $(wildcard tools/nightjar/main.c),nightjar))

LIBS_COMMON := -lprotobuf-c -ljansson -lyaml -lxxhash -lzstd -lgrpc -lgpr -lssl -lcrypto
LIBS_AGENT := $(LIBS_COMMON) -lbpf -lelf -lz -lcap -lseccomp
# The agent itself carries gRPC and abseil inside: 60 shared objects fewer is 3 MB of memory on every
# node. Of common/ it takes what it uses. OpenSSL and the rest stay shared, so that updates reach it.
GRPC_STATIC := $(filter-out -lssl -lcrypto -lz -ldl -lrt -latomic,$(shell pkg-config --static --libs-only-l grpc 2>/dev/null))
LIBS_AGENT_BIN := $(filter-out -lgrpc -lgpr,$(LIBS_AGENT)) -Wl,--as-needed -Wl,-Bstatic \
	-Wl,--start-group $(sort $(or $(GRPC_STATIC),-lgrpc)) -Wl,--end-group -Wl,-Bdynamic -l:libstdc++.so.6 -lm -lssl -lcrypto -lz
# tests/tsan.supp knows gRPC by the names of its shared objects.
ifneq ($(SANITIZE),)
LIBS_AGENT_BIN := $(LIBS_AGENT)
endif
LIBS_COLLECTOR := $(LIBS_COMMON) -lrdkafka -lsqlite3 -lmicrohttpd -lcurl

DEPS := gcc libc6-dev pkg-config clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev libgrpc-dev \
	libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotobuf-dev librdkafka-dev libssl-dev \
	libcap-dev libseccomp-dev libjansson-dev libyaml-dev libmicrohttpd-dev libsqlite3-dev libxxhash-dev libzstd-dev \
	libcurl4-openssl-dev
DEPS_TEST := libcmocka-dev pmccabe iproute2 procps netcat-openbsd socat perl python3 python3-pip \
	python3-setuptools python3-wheel nodejs $(if $(shell command -v npm),,npm) git openssh-server \
	openssh-client curl redis-server redis-tools nginx-light default-jre-headless maven kcat \
	etcd-server openssl ca-certificates \
	$(if $(shell command -v containerd),,containerd) $(if $(shell command -v runc),,runc) \
	$(if $(shell command -v go),,golang-go) qemu-system-x86 qemu-system-arm busybox-static dash kmod binutils \
	gcc-aarch64-linux-gnu buildah containernetworking-plugins iptables jq systemd
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0

.PHONY: all ready run install deps deps-test check check-e2e check-kafka check-api check-kube check-containers bench test docs lint clean help format
.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BIN)

# What tools/up and run need before nightjar dev, each step with its time.
ready:
	$(Q)tools/step packages $(MAKE) --no-print-directory deps
	$(Q)tools/step build $(MAKE) --no-print-directory -j$(shell nproc) all

run: ready
	$(Q)$(BUILD)/bin/nightjar dev $(ARGS)

PREFIX ?= /usr/local
install: all
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(Q)install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin
	$(Q)install -m 644 tools/nightjar/completion.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/nightjar
	$(Q)install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	$(Q)for unit in tools/systemd/*.service; do sed 's|/usr/local/|$(PREFIX)/|' $$unit \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit 1; done

deps:
	$(Q)dpkg -s $(DEPS) >/dev/null 2>&1 || { $(APT) update && \
		$(APT) install -y --no-install-recommends $(DEPS) >/dev/null; }

deps-test: deps
	$(Q)dpkg -s $(DEPS_TEST) >/dev/null 2>&1 || { $(APT) update && \
		$(APT) install -y --no-install-recommends $(DEPS_TEST) >/dev/null; }

# ---- generated ------------------------------------------------------------------------------
$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: proto/%.proto
	@mkdir -p $(@D)
	$(Q)protoc-c -Iproto -I/usr/include --c_out=$(GEN) $<

$(GEN)/google/protobuf/timestamp.pb-c.c $(GEN)/google/protobuf/timestamp.pb-c.h &:
	@mkdir -p $(@D)
	$(Q)protoc-c -I/usr/include --c_out=$(GEN) /usr/include/google/protobuf/timestamp.proto

# The descriptor set that reflection serves: const unsigned char descriptor_set[].
$(PROTO_SET): $(PROTO)
	@mkdir -p $(@D)
	$(Q)protoc -Iproto -I/usr/include --include_imports --descriptor_set_out=$(GEN)/descriptors.bin $(filter %.proto,$^)
	$(Q){ echo 'static const unsigned char descriptor_set[] = {'; \
		od -An -v -tx1 $(GEN)/descriptors.bin | sed 's/ \(..\)/0x\1,/g'; echo '};'; } > $@

$(ARCH_DIR)/bpf/%.bpf.bc: bpf/%.bpf.c $(wildcard bpf/*.h)
	@mkdir -p $(@D)
	$(Q)clang -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror -I. \
		-fno-inline -Xclang -disable-llvm-passes -emit-llvm -c $< -o $@

# Linked by LLVM before it optimizes: libbpf's linker, before 1.3, fails at kernel functions that two files
# call. Nothing is inlined but what says so, since a function of its own is proved once.
$(SKELETON): $(BPF_OBJ)
	@mkdir -p $(@D)
	$(Q)llvm-link $^ -o $(ARCH_DIR)/bpf/nightjar.bc
	$(Q)clang -target bpf -O2 -g -c $(ARCH_DIR)/bpf/nightjar.bc -o $(ARCH_DIR)/bpf/nightjar.o
	$(Q)llvm-strip -g $(ARCH_DIR)/bpf/nightjar.o
	$(Q)bpftool gen skeleton $(ARCH_DIR)/bpf/nightjar.o name nightjar_bpf > $@

# ---- objects and programs ---------------------------------------------------------------------
$(BUILD)/obj/gen/%.o: $(GEN)/%.c | $(PB_H)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -I$(GEN) $(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -c -o $@ $<

$(BUILD)/obj/%.o: %.c | $(PB_H) $(PROTO_SET) $(if $(BPF_OBJ),$(SKELETON))
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MD -MP -c -o $@ $<

$(BUILD)/bin/nightjar-agent: $(BUILD)/obj/node-agent/main.o $(AGENT_OBJ) $(COMMON_OBJ)
	@mkdir -p $(@D)
	$(Q)rm -f $(BUILD)/common.a && ar rcs $(BUILD)/common.a $(COMMON_OBJ)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter-out $(COMMON_OBJ),$^) $(BUILD)/common.a $(LIBS_AGENT_BIN)

$(BUILD)/bin/nightjar-collector: $(BUILD)/obj/collector/main.o $(COLLECTOR_OBJ) $(COMMON_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_COLLECTOR)

$(BUILD)/bin/nightjar: $(BUILD)/obj/tools/nightjar/main.o $(TOOL_OBJ) $(COMMON_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_COMMON)

# ---- tests --------------------------------------------------------------------------------------
# One thin archive for all unit tests: each links only what it uses. tls13.o replaces a function of
# OpenSSL that nobody here names, so it must be named.
UNIT_LIB := $(BUILD)/unit.a
TLS13_OBJ := $(BUILD)/obj/common/tls13.o

$(UNIT_LIB): $(COMMON_OBJ) $(AGENT_OBJ) $(COLLECTOR_OBJ) $(TOOL_OBJ)
	$(Q)rm -f $@ && ar rcsT $@ $^

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(TLS13_OBJ) $(UNIT_LIB) $(LIBS_AGENT) $(LIBS_COLLECTOR) -lcmocka

# End to end: the harness with one suite each, and the C programs that play attacker's tool.
E2E_BIN := $(patsubst tests/e2e/%.c,$(BUILD)/tests/e2e/%,$(wildcard tests/e2e/test_*.c))
E2E_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out tests/e2e/test_%,$(wildcard tests/e2e/*.c)))
SCENARIO_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/scenario/*.c))

$(E2E_BIN): $(BUILD)/tests/e2e/%: $(BUILD)/obj/tests/e2e/%.o $(E2E_OBJ) $(COMMON_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_COMMON) -lcmocka

$(SCENARIO_BIN): $(BUILD)/%: $(BUILD)/obj/%.o
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

# Benches: drivers on the same harness; wire also runs the product's own client and server.
BENCH_OBJ := $(patsubst %,$(BUILD)/obj/tests/%.o,bench/bench bench/crowd bench/sink bench/programs e2e/dev e2e/metric e2e/attacker e2e/scenario)
BENCH_BIN := $(patsubst %.c,$(BUILD)/%,$(filter-out %/bench.c %/crowd.c %/sink.c %/programs.c,$(wildcard tests/bench/*.c)))

$(BENCH_BIN): $(BUILD)/%: $(BUILD)/obj/%.o $(BENCH_OBJ) $(COMMON_OBJ) $(COLLECTOR_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_COLLECTOR) -lbpf

# The programs that drive the product's parts against a real broker.
KAFKA_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/kafka/*.c))

$(KAFKA_BIN): $(BUILD)/%: $(BUILD)/obj/%.o $(COMMON_OBJ) $(COLLECTOR_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_COLLECTOR)

check-kafka: $(KAFKA_BIN) $(BIN)
	$(Q)NJ_BUILD=$(BUILD) tests/kafka/run

check-api: $(KAFKA_BIN) $(BIN)
	$(Q)NJ_BUILD=$(BUILD) tests/api/run

# The program that asks the store of a real API server's objects.
KUBE_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/kube/*.c))

$(KUBE_BIN): $(BUILD)/%: $(BUILD)/obj/%.o $(COMMON_OBJ) $(COLLECTOR_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_COLLECTOR)

check-kube: $(BIN) $(KUBE_BIN)
	$(Q)NJ_BUILD=$(BUILD) tests/kube/run

# The agent beside a real containerd.
CONTAINERS_OBJ := $(patsubst %,$(BUILD)/obj/tests/%.o,containers/node containers/runtime e2e/product e2e/sanitizer)

$(BUILD)/tests/containers/crowd: $(BUILD)/obj/tests/containers/crowd.o
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

$(BUILD)/tests/containers/test_containers: $(BUILD)/obj/tests/containers/test_containers.o $(CONTAINERS_OBJ) $(UNIT_LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(CONTAINERS_OBJ) $(TLS13_OBJ) $(UNIT_LIB) $(LIBS_AGENT) $(LIBS_COLLECTOR) -lcmocka

check-containers: $(BIN) $(BUILD)/tests/containers/test_containers $(BUILD)/tests/containers/crowd
	$(Q)NJ_BUILD=$(BUILD) tests/containers/run

bench: $(BIN) $(BENCH_BIN) $(SCENARIO_BIN)
	$(Q)NJ_BUILD=$(BUILD) tests/run-bench $(BENCH)

# Linked from an archive, so that each takes what it uses: a guest of tests/kernel has to carry it.
$(BUILD)/bpf-tests.a: $(AGENT_OBJ) $(COMMON_OBJ)
	$(Q)rm -f $@ && ar rcsT $@ $^

$(BUILD)/tests/bpf/%: $(BUILD)/obj/tests/bpf/%.o $(patsubst %,$(BUILD)/obj/tests/bpf/%.o,live netns group acts) $(BUILD)/bpf-tests.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -Wl,--as-needed $(LIBS_AGENT) -lcmocka

# Against the running kernel, as root.
.PHONY: check-bpf
check-bpf: $(BPF_TEST_BIN) $(BIN)
	$(Q)tests/run-bpf $(BUILD)/tests/bpf

# The same programs on other kernels, emulated; what is in such a guest.
.PHONY: check-kernel guest sysroot-packages
sysroot-packages:
	@echo $(filter %-dev,$(DEPS)) libcmocka-dev
guest: $(BPF_TEST_BIN) $(BUILD)/bin/nightjar-agent
check-kernel: guest
	$(Q)tests/kernel/run

# In a real one-node cluster, from the images.
.PHONY: check-node images
check-node: $(BIN)
	$(Q)NJ_BUILD=$(BUILD) tests/node/run

images: $(BIN)
	$(Q)command -v buildah >/dev/null || { $(APT) update && \
		$(APT) install -y --no-install-recommends buildah >/dev/null; }
	$(Q)NJ_BUILD=$(BUILD) tools/images

check: $(BIN) $(UNIT_BIN)
	$(Q)tools/check-layers
	$(Q)tools/check-size
	$(Q)tests/run-unit $(BUILD)/tests/unit

check-e2e: $(BIN) $(E2E_BIN) $(SCENARIO_BIN)
	$(Q)NJ_BUILD=$(BUILD) tests/run-e2e $(E2E)

test: deps-test
	$(Q)tests/run-all $(SUITES)

# cppcheck knows neither scope clean-up nor all of GNU C: what it says of those is left out.
lint:
	$(Q)tools/check-layers
	$(Q)tools/check-size
	$(Q)for script in $$(grep -d skip -lE '^#!/bin/(ba)?sh' tools/* tests/run-* .ci/run); do \
		bash -n $$script || exit 1; done
	$(Q)! command -v cppcheck >/dev/null || cppcheck -q --std=c11 -D_GNU_SOURCE -I. --error-exitcode=1 \
		--enable=warning,portability --suppress=memleak --suppress=autoVariables \
		--suppress=legacyUninitvar --suppress=resourceLeak --suppress=ctuuninitvar \
		--suppress=shiftTooManyBitsSigned --suppress=syntaxError --suppress=internalAstError \
		$(filter-out %.bpf.c,$(wildcard common/*.c node-agent/*.c collector/*.c collector/*/*.c tools/nightjar/*.c))

# The reference pages of the options; a unit test holds them against the tables.
docs: $(BIN)
	$(Q)$(BUILD)/bin/nightjar-agent --reference > docs/options-agent.md
	$(Q)$(BUILD)/bin/nightjar-collector --reference > docs/options-collector.md

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf build

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

-include $(shell find build -name '*.d' 2>/dev/null)
