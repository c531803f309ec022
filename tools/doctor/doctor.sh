#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Says what this machine lacks for which target of make, and how to get it.
# It changes nothing. Exit code 1: something without which nothing works.
set -u
cd "$(dirname "$0")/../.." || exit 1

missing=0
optional=0

# ok NAME DETAIL: it is there.
ok() { printf 'ok       %-22s %s\n' "$1" "$2"; }

# need NAME TARGETS HOW: nothing works without it.
need() {
  missing=$((missing + 1))
  printf 'MISSING  %-22s needed for %s. %s\n' "$1" "$2" "$3"
}

# want NAME TARGETS HOW: those targets fail, skip tests or take longer without it.
want() {
  optional=$((optional + 1))
  printf 'missing  %-22s for %s. %s\n' "$1" "$2" "$3"
}

has() { command -v "$1" >/dev/null 2>&1; }
first() { "$@" 2>&1 | head -n 1; }

# older VERSION THAN
older() {
  [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t . -k 1,1n -k 2,2n -k 3,3n | head -n 1)" = "$1" ]
}

# get PACKAGE prints how to install a package of Debian's, or what else it is called.
get() {
  if has apt-get; then
    echo "sudo apt-get install $1"
  elif has brew; then
    echo "brew install ${2:-$1}"
  else
    echo "Install ${2:-$1}."
  fi
}

linux=no
[ "$(uname -s)" = Linux ] && linux=yes

echo "For all targets"
wanted=$(awk '$1 == "go" { print $2 }' go.mod)
if ! has go; then
  need Go everything "See https://go.dev/dl/ for version $wanted."
else
  version=$(go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
  if older "$version" "$wanted"; then
    need "Go $wanted" everything "This is $version, and does not fetch another by itself (GOTOOLCHAIN=$(go env GOTOOLCHAIN)). See https://go.dev/dl/."
  else
    ok Go "$version"
  fi
fi
if has git; then ok git "$(first git --version)"; else need git "versions, make lint and make release-dry-run" "$(get git)"; fi
if has gpg && has gpgv; then ok GnuPG "to check the signature of a release"; else want GnuPG "checking the signature of a release" "$(get "gnupg gpgv" gnupg)"; fi

printf '\nFor make test, make testacc and what goes with them\n'
found=
for cli in terraform tofu; do
  has "$cli" && found="$found $(CHECKPOINT_DISABLE=1 TF_CLI_CONFIG_FILE=/dev/null first "$cli" version)"
done
if [ -n "$found" ]; then ok "Terraform, OpenTofu" "${found# }"; else want "Terraform, OpenTofu" "make test" "It is brought by the first run: fetched, or built in some minutes."; fi
if has chromium || has chromium-browser || has google-chrome || has google-chrome-stable || has chrome; then
  ok "a browser" "for tests of the status page"
else
  want "a browser" "tests of the status page, which are skipped" "$(get chromium)"
fi
if has promtool; then ok promtool "for tests of metrics and alerts"; else want promtool "tests of metrics and alerts, which are skipped" "$(get prometheus)"; fi

printf '\nFor make demo, make testacc and make cluster-up\n'
if [ $linux = yes ]; then
  ok Linux "$(uname -r)"
  if [ "$(id -u)" -eq 0 ]; then
    ok "namespaces" "this user is root"
  elif unshare -rn true >/dev/null 2>&1; then
    ok "namespaces" "users may have their own"
  else
    want "namespaces" "make demo, make testacc" "Ubuntu: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; Debian: sudo sysctl -w kernel.unprivileged_userns_clone=1; or be root."
  fi
else
  want Linux "make demo, make testacc, make cluster-up, make crash" "A virtual machine or container with Linux will do: see .devcontainer."
fi
if has initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then ok PostgreSQL "is here"; else want PostgreSQL "the same" "It is downloaded by the first run; or $(get postgresql)"; fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}
free=$(df -Pk "$HOME" 2>/dev/null | awk 'NR == 2 { print int($4 / 1048576) }')
if [ "${free:-99}" -ge 8 ]; then
  ok "disk" "$free GiB free"
else
  want "disk" "the same" "$free GiB are free, and what is built takes about 8, most of it in $(has go && go env GOCACHE) and $cache/terraform-provider-pachyderm."
fi

printf '\nFor make test-brokers and make crash\n'
if has java; then
  java=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  if [ "${java:-0}" -ge 17 ]; then ok Java "$java"; else want "Java 17" "a real Apache Kafka" "This is ${java:-of no known version}. $(get openjdk-17-jre-headless openjdk)"; fi
else
  want "Java 17" "a real Apache Kafka" "$(get default-jre-headless openjdk)"
fi
if has mvn; then ok Maven "is here"; else want Maven "a real Apache Kafka and Apicurio, which it fetches" "$(get maven)"; fi
if has rabbitmq-server || ls /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server /opt/rabbitmq/sbin/rabbitmq-server >/dev/null 2>&1; then ok RabbitMQ "is here"; else want RabbitMQ "a real RabbitMQ" "$(get rabbitmq-server rabbitmq)"; fi
if has nats-server; then ok NATS "is here"; else want NATS "a real NATS" "$(get nats-server)"; fi

printf '\nFor make test-kubernetes and make testacc LAB=kubernetes\n'
if [ $linux = yes ] && [ "$(id -u)" -eq 0 ]; then ok root "for control groups and network devices of its own"; else want root "a real Kubernetes" "Run them as root, on Linux."; fi
if has containerd && has runc && has iptables && has ip && [ -x /usr/lib/cni/bridge ]; then ok containerd "runc, network plugins, iptables and ip"; else want containerd "a real Kubernetes" "$(get 'containerd runc containernetworking-plugins iptables iproute2')"; fi

printf '\nFor make test-readers\n'
if has python3 && python3 -m pip --version >/dev/null 2>&1; then ok Python "$(first python3 --version)"; else want "Python with pip" "pyarrow, DuckDB and others, which read our files" "$(get python3-pip python)"; fi

printf '\n'
if [ $missing -gt 0 ]; then
  echo "$missing missing without which nothing works, $optional that some targets want."
  exit 1
fi
if [ $optional -gt 0 ]; then echo "All that must be there is there; $optional that some targets want are not."; else echo "Nothing is missing."; fi
