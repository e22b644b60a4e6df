#!/usr/bin/env bash
# Prints the balancer's configuration with addresses of this machine in place of those within Docker.
#
#     scripts/local-haproxy-config.sh CLIENTS OPERATORS NODE-1 NODE-2      each as HOST:PORT
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[[ $# == 4 ]] || die "usage: scripts/local-haproxy-config.sh CLIENTS OPERATORS NODE-1 NODE-2"
sed -e "s|bind :8080|bind $1|; s|bind :8404|bind $2|; s|node-1:8000|$3|; s|node-2:8000|$4|" \
    -e 's| resolvers docker init-addr libc,none||' \
    "$(dirname "${BASH_SOURCE[0]}")/../deploy/haproxy/haproxy.cfg"
