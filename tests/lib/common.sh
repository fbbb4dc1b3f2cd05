# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts that build and test kbroker: where things are, how to
# say what is being done, and which kernels there are. Sourced, never run.
# Installing packages is setup.sh's business, not done here.

KB_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
KB_CACHE=${KBROKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kbroker}
# Guests keep their own build output apart from the host's when asked to.
KB_BUILD=${KBROKER_BUILD:-$KB_TOP/build}
KB_JOBS=${KBROKER_JOBS:-$(nproc)}

# What a kernel's log says when something is wrong with it.
KB_COMPLAINTS='BUG:|WARNING:|Oops|general protection|[Kk]ernel panic|blocked for more than|stall(ed)? on CPU|refcount_t:|list_(add|del) corruption|INFO: possible|INFO: task|possible (circular|recursive|irq lock)|UBSAN|KASAN|unreferenced object|still has objects|EXT4-fs error|scheduling while atomic|sleeping function called|kbroker-vm: lost'
export KB_COMPLAINTS

kb_say() { printf '%s\n' "$*" >&2; }
kb_die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# kb_kver 6.1|6.12: the release of Debian's stock kernel of that series whose
# headers are installed (the newest when there are several); fails if none is.
kb_kver()
{
	local d best=

	for d in $(printf '%s\n' /usr/src/linux-headers-"$1".[0-9]*-amd64 | sort -V); do
		[ -d "$d" ] || continue
		best=${d#/usr/src/linux-headers-}
	done
	[ -n "$best" ] && printf '%s\n' "$best"
}

# kb_kernel_root KVER: a directory with boot/vmlinuz-KVER and
# usr/lib/modules/KVER in it: / when that kernel is installed, otherwise where
# setup.sh has unpacked its package.
kb_kernel_root()
{
	if [ -e "/boot/vmlinuz-$1" ] && [ -d "/usr/lib/modules/$1/kernel" ]; then
		printf '/\n'
	elif [ -e "$KB_CACHE/kernel/$1/boot/vmlinuz-$1" ]; then
		printf '%s\n' "$KB_CACHE/kernel/$1"
	else
		return 1
	fi
}

# kb_source: the unpacked kernel source that UML, checkpatch and the netlink
# generator come from; unpacked on first use, again when the package changes.
kb_source()
{
	local tar=/usr/src/linux-source-6.12.tar.xz dir=$KB_CACHE/src/linux-source-6.12 version

	version=$(dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null) ||
		kb_die "linux-source-6.12 is not installed: run tests/lib/setup.sh uml"
	mkdir -p "$KB_CACHE/src"
	(
		flock 9
		[ "$(cat "$dir/.kbroker-version" 2>/dev/null)" = "$version" ] && exit 0
		kb_say "unpacking linux-source-6.12 $version"
		rm -rf "$dir"
		tar -C "$KB_CACHE/src" -xf "$tar" && echo "$version" >"$dir/.kbroker-version"
	) 9>"$KB_CACHE/src/.lock" || kb_die "cannot unpack $tar"
	printf '%s\n' "$dir"
}
