#!/usr/bin/env bash
# Installs Debian packages without their daemons being started, now or at the next boot: tests start their own.
# Runs as root. $POLICY_RC_D is for tests of this script.
set -euo pipefail

policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
kept=

# Debian asks this file before it starts a service; 101 forbids it.
restore() {
  rm -f "$policy"
  if [ -n "$kept" ]; then mv "$kept" "$policy"; fi
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
  kept=$policy.kept.$$
  mv "$policy" "$kept"
fi
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@" >/dev/null

for package in "$@"; do
  if [ "$package" != prometheus ] && [ "$package" != postgresql ]; then continue; fi
  systemctl disable --quiet "$package" >/dev/null 2>&1 || update-rc.d "$package" disable >/dev/null 2>&1 || true
done
