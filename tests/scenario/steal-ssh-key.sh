#!/bin/sh
# A private ssh key, planted in a home directory that only this mount namespace sees.
exec unshare -m sh -ec '
	mount -t tmpfs tmpfs /root
	mkdir -p /root/.ssh
	echo planted-secret > /root/.ssh/id_ed25519
	chmod 600 /root/.ssh/id_ed25519
	base64 /root/.ssh/id_ed25519 | base64 -d | grep planted-secret'
