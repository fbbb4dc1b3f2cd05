#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/lib/setup.sh PURPOSE...: install what a purpose needs and the machine
# lacks, with apt and without questions, and say what is done. Purposes:
#
#	build-6.1, build-6.12	compile the module for that stock kernel
#	tools		compile the command and the library
#	vm-6.1, vm-6.12		boot that stock kernel in a virtual machine
#	uml		build and run the user-mode kernel
#	daemon		compile kbrokerd, and libraft for it
#	unit, fuzz	compile the codec in user space; with libFuzzer
#	checks		static checks
#	docs, coverage, model, selftests, interop, librdkafka
#	demo, selftest, bench	what these targets of make need, for one kernel
#	check		what "make check" needs
#	all		everything
#
# Kernel images are unpacked into the cache rather than installed, unless a
# dependency of the headers installs them: nobody wants a new boot entry from a
# test. The machine's apt sources are never touched.
set -euo pipefail
. "$(dirname "$0")/common.sh"

packages_for()
{
	case $1 in
	build-6.1)  echo make gcc libc6-dev kmod xz-utils linux-headers-amd64 ;;
	build-6.12) echo make gcc libc6-dev kmod xz-utils linux-headers-6.12-amd64 ;;
	tools)      echo make gcc libc6-dev pkg-config libnl-3-dev libnl-genl-3-dev libzstd-dev liblz4-dev libsnappy-dev zlib1g-dev ;;
	vm-*)       echo qemu-system-x86 busybox-static e2fsprogs kmod cpio xz-utils iproute2 ;;
	uml)        echo make gcc libc6-dev flex bison bc libelf-dev libssl-dev xz-utils linux-source-6.12 ccache e2fsprogs python3 kmod ;;
	unit)       echo make gcc clang libclang-rt-14-dev libc6-dev pkg-config libzstd-dev liblz4-dev libsnappy-dev zlib1g-dev ;;
	daemon)     echo gcc libc6-dev libuv1-dev liblz4-dev libssl-dev debian-archive-keyring ;;
	fuzz)       echo clang libclang-rt-14-dev llvm make libc6-dev pkg-config libzstd-dev liblz4-dev zlib1g-dev ;;
	checks)     echo sparse perl shellcheck python3 python3-yaml python3-jsonschema linux-source-6.12 xz-utils ;;
	selftests)  echo dmsetup python3 util-linux strace ;;
	docs)       echo python3-sphinx python3-docutils man-db ;;
	bench)      echo redis-server redis-tools gcc libc6-dev python3 python3-confluent-kafka ;;
	coverage)   echo lcov ;;
	model)      echo spin gcc libc6-dev ;;
	interop)    echo kcat python3-kafka python3-confluent-kafka
		    # whoever has Node.js from elsewhere keeps it
		    command -v node >/dev/null || echo nodejs
		    command -v npm >/dev/null || echo npm ;;
	librdkafka) echo make g++ python3 libssl-dev zlib1g-dev libzstd-dev liblz4-dev
		    command -v npm >/dev/null || echo npm ;;
	*)          return 1 ;;
	esac
}

expand()
{
	local kernel=${KBROKER_KERNEL:-6.1}

	case $1 in
	demo)  echo "build-$kernel tools vm-$kernel" ;;
	selftest) echo "build-$kernel tools vm-$kernel selftests" ;;
	bench) echo "build-$kernel tools vm-$kernel uml bench" ;;
	check) echo build-6.1 build-6.12 tools vm-6.1 vm-6.12 uml unit daemon fuzz checks selftests docs interop ;;
	all)   echo build-6.1 build-6.12 tools vm-6.1 vm-6.12 uml unit daemon fuzz checks selftests docs interop librdkafka bench coverage model ;;
	*)     echo "$1" ;;
	esac
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		kb_die "packages are missing and only root can install them: $*"
	fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

apt_log=$KB_CACHE/setup.log
failed() { tail -15 "$apt_log" >&2; kb_die "failed: $* (all of it: $apt_log)"; }
quietly() { "$@" >>"$apt_log" 2>&1 </dev/null || failed "$@"; }

# apt_get ARGUMENT...: as root, without questions. DPkg::Lock::Timeout waits for
# dpkg's lock only; for those of the lists and the archives apt itself gives up at
# once, and somebody's timer may hold them for a minute.
apt_get()
{
	local tries

	for ((tries = 0; tries < 60; tries++)); do
		if as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y -o DPkg::Lock::Timeout=600 \
			-o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" >"$apt_log.last" 2>&1 </dev/null; then
			cat "$apt_log.last" >>"$apt_log"
			return 0
		fi
		cat "$apt_log.last" >>"$apt_log"
		grep -qE 'Could not get lock|Unable to (lock|acquire)' "$apt_log.last" || return 1
		[ "$tries" != 0 ] || kb_say "setup: waiting for another apt to end"
		sleep 10
	done
	return 1
}

apt_updated=
apt_update()
{
	[ -z "$apt_updated" ] || return 0
	kb_say "setup: reading the package lists"
	# One broken third-party source must not stop what Debian's own provide.
	apt_get update || kb_say "setup: not all package lists could be read"
	apt_updated=1
}

install_missing()
{
	local p missing=()

	for p; do
		installed "$p" || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	apt_update
	kb_say "setup: installing ${missing[*]}"
	apt_get install --no-install-recommends "${missing[@]}" || failed "installing ${missing[*]}"
}

# The image of the kernel whose headers the module is built for.
fetch_kernel()
{
	local series=$1 kver dir

	kver=$(kb_kver "$series") || kb_die "no headers of Linux $series"
	kb_kernel_root "$kver" >/dev/null && return 0
	apt_update
	kb_say "setup: unpacking linux-image-$kver into the cache"
	dir=$KB_CACHE/kernel/$kver.new
	rm -rf "$dir"
	mkdir -p "$dir/deb"
	(cd "$dir/deb" && quietly apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User=root download "linux-image-$kver")
	quietly dpkg-deb -x "$dir"/deb/*.deb "$dir"
	rm -rf "$dir/deb"
	if [ ! -d "$dir/usr/lib/modules" ]; then
		mkdir -p "$dir/usr"
		mv "$dir/lib" "$dir/usr/lib"
	fi
	ln -sfn usr/lib "$dir/lib"
	quietly /sbin/depmod -b "$dir" "$kver"
	rm -rf "$KB_CACHE/kernel/$kver"
	mv "$dir" "$KB_CACHE/kernel/$kver"
}

# Bookworm's own libraft lacks two years of fixes. Debian's backports have a newer
# one, read by an apt with sources, lists and archives of its own; the tests that
# need it are skipped where it can't be had.
fetch_libraft()
{
	local dir=$KB_CACHE/libraft own=$KB_CACHE/apt mirror release=bookworm options

	[ ! -e "$dir/usr/include/raft.h" ] || return 0
	kb_say "setup: unpacking libraft into the cache"
	# shellcheck disable=SC2016 # apt's own variable
	mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $release" "Origin: Debian" 2>/dev/null | head -n 1)
	mkdir -p "$own/lists/partial" "$own/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"${mirror:-http://deb.debian.org/debian/} $release-backports main" >"$own/sources.list"
	options=(-q -o Acquire::Retries=3 -o APT::Sandbox::User=root
		 -o Dir::Etc::SourceList="$own/sources.list" -o Dir::Etc::SourceParts=/dev/null
		 -o Dir::State::Lists="$own/lists" -o Dir::Cache="$own" -o Dir::Cache::Archives="$own/archives")
	rm -rf "$dir.new"
	mkdir -p "$dir.new/deb"
	(
		cd "$dir.new/deb" && apt-get "${options[@]}" update &&
		apt-get "${options[@]}" download "libraft0/$release-backports" "libraft-dev/$release-backports" &&
		for deb in *.deb; do dpkg-deb -x "$deb" .. || exit 1; done
	) >>"$apt_log" 2>&1 </dev/null || {
		kb_say "setup: libraft can't be fetched: see $apt_log"
		return 0
	}
	rm -rf "$dir" "$dir.new/deb"
	mv "$dir.new" "$dir"
}

# A JavaScript client; its tests are skipped where npm can't fetch it.
fetch_kafkajs()
{
	local dir=$KB_CACHE/npm/kafkajs

	[ ! -d "$dir/package" ] || return 0
	kb_say "setup: fetching kafkajs into the cache"
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	(cd "$dir.new" && timeout 120 npm pack --silent kafkajs@2.2.4 && tar xzf kafkajs-2.2.4.tgz) >>"$apt_log" 2>&1 </dev/null || {
		kb_say "setup: npm can't fetch kafkajs: see $apt_log"
		return 0
	}
	rm -rf "$dir"
	mv "$dir.new" "$dir"
}

# librdkafka with its tests is inside a package for Node.js.
build_librdkafka()
{
	local dir=$KB_CACHE/npm/librdkafka name=confluentinc-kafka-javascript-1.10.1.tgz

	[ ! -x "$dir/package/deps/librdkafka/tests/test-runner" ] || return 0
	kb_say "setup: fetching and building librdkafka's tests (some minutes)"
	rm -rf "$dir"
	mkdir -p "$dir"
	(
		cd "$dir" && timeout 300 npm pack --silent @confluentinc/kafka-javascript@1.10.1 && tar xzf $name && rm $name &&
		cd package/deps/librdkafka && ./configure --disable-gssapi --disable-curl &&
		make -j"$KB_JOBS" libs && make -j"$KB_JOBS" -C tests build
	) >>"$apt_log" 2>&1 </dev/null || {
		kb_say "setup: npm can't fetch librdkafka's tests, or they don't build: see $apt_log"
		return 0
	}
}

main()
{
	local purpose part packages=() purposes=()

	[ $# -gt 0 ] || { sed -n '3,25s/^# \{0,1\}//p' "$0" >&2; exit 2; }
	mkdir -p "$KB_CACHE"
	# Two checkouts may set up at once.
	exec 8>"$KB_CACHE/.setup.lock"
	flock 8
	for purpose; do
		for part in $(expand "$purpose"); do
			packages_for "$part" >/dev/null || kb_die "no such purpose: $part"
			purposes+=("$part")
			# shellcheck disable=SC2207 # package names have no blanks
			packages+=($(packages_for "$part"))
		done
	done
	case " ${purposes[*]} " in
	*" vm-6.1 "*) packages+=(linux-headers-amd64) ;;
	esac
	case " ${purposes[*]} " in
	*" vm-6.12 "*) packages+=(linux-headers-6.12-amd64) ;;
	esac
	mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
	install_missing "${packages[@]}"
	for part in "${purposes[@]}"; do
		case $part in
		vm-*) fetch_kernel "${part#vm-}" ;;
		interop) fetch_kafkajs ;;
		daemon) fetch_libraft ;;
		librdkafka) build_librdkafka ;;
		esac
	done
}

main "$@"
