#!/bin/sh
# Installs one Debian package that has a server in it, without letting that server start by itself.
#
# Usage: apt-install.sh PACKAGE PROGRAM      (as root; PROGRAM is what the package brings: a name, or the path of a file)
package=$1 program=$2
marker='# temporary, written by spillway'
policy=/usr/sbin/policy-rc.d

# One at a time: several test processes may come here together. flock is part of every Debian.
exec 9>/run/spillway-apt.lock
flock 9
{ command -v "$program" >/dev/null || [ -e "$program" ]; } && exit 0

# Debian starts a service as soon as it is installed, and at every boot, which is not wanted here. 101 means
# "not allowed". A file with our marker is left over from an install that was killed.
if [ ! -e "$policy" ] || grep -qF "$marker" "$policy"; then
  printf '#!/bin/sh\n%s\nexit 101\n' "$marker" > "$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM HUP
fi

install() {
  # Nothing may ask: neither debconf, nor dpkg about a configuration file, nor Ubuntu's needrestart.
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    "$package" </dev/null
}
# The lists may be missing (images) or old; only then are they worth the time.
install || { apt-get update -q -o DPkg::Lock::Timeout=120 && install; } || exit 1

# Not now, and not at the next boot either.
deb-systemd-helper disable "$program.service" >/dev/null 2>&1 || :
