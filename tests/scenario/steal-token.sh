#!/bin/sh
# A pod's service-account token, planted below a tmpfs that only this mount namespace sees.
exec unshare -m sh -ec '
	mount -t tmpfs tmpfs /run
	mkdir -p /run/secrets/kubernetes.io/serviceaccount
	echo planted-secret > /run/secrets/kubernetes.io/serviceaccount/token
	cat /var/run/secrets/kubernetes.io/serviceaccount/token | grep planted-secret'
