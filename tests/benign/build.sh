#!/bin/sh
# A build: make runs shells, a compiler and a test.
set -e
cat > hello.c <<'C'
#include <stdio.h>
int main(void) { return puts("hello") < 0; }
C
printf 'test: hello\n\t./hello | grep -q hello && echo ok > done.txt\nhello: hello.c\n\tcc -o $@ $<\n' > Makefile
make -s -j2
test -s done.txt
