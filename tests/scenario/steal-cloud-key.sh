#!/bin/sh
# Cloud credentials, planted in a home directory that only this mount namespace sees.
exec unshare -m sh -ec '
	mount -t tmpfs tmpfs /root
	mkdir -p /root/.aws
	printf "[default]\naws_secret_access_key = planted-secret\n" > /root/.aws/credentials
	cat /root/.aws/credentials | grep planted-secret'
