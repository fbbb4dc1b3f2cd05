#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The file system of nodes, and who may open them: N1 to N10 of the ABI text.
. "$(dirname "$0")/lib.sh"

D=/dev/kbroker
user() { setpriv --reuid 12345 --regid 12345 --clear-groups "$@"; }
member() { setpriv --reuid 12346 --regid 12346 --groups 777 "$@"; }

major=$(awk '$2 == "kbroker" { print $1 }' /proc/devices)
check "N9: one major number in /proc/devices" test -n "$major"
mkdir -p /run/kb1 /run/kb2
at_end "umount /run/kb1 /run/kb2; rmdir /run/kb1 /run/kb2"
check "N2: mounting needs no broker" mount -t kbroker kbroker /run/kb1
check_equal "N2: without one the mount is empty" "$(ls -A /run/kb1)" ""
check "N2: statfs" stat -f /run/kb1
check "N2: unmounting neither" umount /run/kb1

broker_start
topic_create t --partitions 3
topic_create u --partitions 1
check_equal "N3: a directory for each topic" "$(ls $D | tr '\n' ' ')" "t u "
check_equal "N3: with its nodes" "$(ls $D/t | sort | tr '\n' ' ')" "0 1 2 all "
check "N3: they are character devices" bash -c "test -c $D/t/0 && test -c $D/t/2 && test -c $D/t/all"
check "N9: of that major" test "$(stat -c %Hr $D/t/1)" = "$major"
check_equal "N9: each with a minor of its own" "$(stat -c %Lr $D/*/* | sort -u | wc -l)" 6
check "N1: a second mount of the same name" mount -t kbroker kbroker /run/kb1
check_equal "N1: shows the same nodes" "$(stat -c '%t:%T' /run/kb1/t/*)" "$(stat -c '%t:%T' $D/t/*)"
check "N1: a mount of another name" mount -t kbroker other /run/kb2
check_equal "N1: does not" "$(ls -A /run/kb2)" ""
check "N1: another mount namespace" unshare -m bash -c "umount /run/kb1; mount -t kbroker kbroker /run/kb1 && test -c /run/kb1/t/0"
check_fails "N1: a name that no broker can have" . mount -t kbroker a/b /run/kb2
if user unshare -Urm true 2>/dev/null; then
	check_fails "N2: not in a user namespace" . user unshare -Urm mount -t kbroker kbroker /mnt
fi
for i in 3 00 01 -1 +1 4294967296 99999999999999999999 @ al ALL ..0; do
	test -e "$D/t/$i" && not_ok "N3: no node $i"
done
ok "N3: other names are no nodes"
check_equal "N3: find sees all" "$(find $D | wc -l)" 9

# N4, N5: nothing can be made, changed or taken away
check_fails "N4: a careless > to a missing partition" "No such file" bash -c "echo x >$D/t/9"
check_fails "N4: to a missing topic" "No such file" bash -c "echo x >$D/typo/0"
check_fails "N4: to a missing name" "No such file" bash -c "echo x >$D/typo"
check_fails "N4: by a user" "No such file" user bash -c "echo x >$D/t/9"
check_fails "N4: mkdir" "No such file|not permitted" mkdir $D/dir
check_fails "N4: mknod" "No such file|not permitted" mknod $D/t/node c "$major" 0
check_fails "N4: ln -s" "No such file|not permitted" ln -s /dev/null $D/t/link
check_fails "N5: ln" . ln $D/t/0 $D/t/5
check_fails "N5: rm" "not permitted" rm -f $D/t/0
check_fails "N5: rmdir" "not permitted" rmdir $D/t
check_fails "N5: mv" . mv $D/t/0 $D/t/1
check_fails "N5: chmod" "not permitted" chmod 777 $D/t/0
check_fails "N5: chown" "not permitted" chown 1:1 $D/t/0
check_fails "N5: touch" "not permitted" touch $D/t/0
check_equal "N6: directories are readable by everybody" "$(stat -c %a $D $D/t | tr '\n' ' ')" "755 555 "

# N6, N7: owner, group and mode are the topic's
echo one >$D/t/0
kbroker topic alter t --owner 12345 --group 777 --mode 0640 >/dev/null || bail "cannot alter a topic"
check_equal "N6: nodes show them" "$(stat -c '%u %g %a' $D/t/0 $D/t/all | sort -u)" "12345 777 640"
check_equal "N7: the owner reads" "$(user timeout 60 head -n 1 $D/t/0)" one
check "N7: and writes" user bash -c "echo two >$D/t/0"
check_equal "N7: the group reads" "$(member timeout 60 head -n 1 $D/t/0)" one
check_fails "N7: and does not write" "Permission denied" member bash -c "echo no >$D/t/0"
check_fails "N7: others do not read" "Permission denied" setpriv --reuid 4 --regid 4 --clear-groups cat $D/t/0
mknod -m 666 /run/kbnode c "$major" "$(stat -c %Lr $D/t/0)"
at_end "rm -f /run/kbnode"
check_equal "N7: a node made by mknod works" "$(timeout 60 head -n 1 /run/kbnode)" one
check_equal "N7: for the owner" "$(user timeout 60 head -n 1 /run/kbnode)" one
check_fails "N7: and obeys the topic, whatever its own mode" "Permission denied" \
	setpriv --reuid 4 --regid 4 --clear-groups cat /run/kbnode
chmod 600 /run/kbnode
check_fails "N7: both must permit" "Permission denied" user cat /run/kbnode
if user unshare -Ur true 2>/dev/null; then
	check_fails "N7: capabilities of a user namespace do not count" "Permission denied" \
		setpriv --reuid 4 --regid 4 --clear-groups unshare -Ur cat $D/t/0
fi
exec 7<$D/t/0
kbroker topic alter t --mode 0200 >/dev/null
check_equal "N7: later changes concern later opens only" "$(timeout 60 head -n 1 <&7)" one
check_equal "N6: they show at once" "$(stat -c %a $D/t/0)" 200
check_fails "N7: the owner can't read any more" "Permission denied" user cat $D/t/0
exec 7<&-
mknod -m 666 /run/kbfree c "$major" 1048575
at_end "rm -f /run/kbfree"
check_fails "N9: a number not in use" "No such device or address" cat /run/kbfree

# N10: bind mounts and paths from before
touch /run/kbbind
at_end "umount /run/kbbind; rm -f /run/kbbind"
check "a node can be bind-mounted" mount --bind $D/u/0 /run/kbbind
echo bound >/run/kbbind
check_equal "and works there" "$(timeout 60 head -n 1 /run/kbbind)" bound
check_equal "N6: it shows the topic's mode as it is now" "$(kbroker topic alter u --mode 0604 >/dev/null; stat -c %a /run/kbbind)" 604
cd $D/u || bail "cannot enter a topic's directory"
kbroker topic delete u >/dev/null || bail "cannot delete a topic"
wait_for 60 test ! -e $D/u
check "N3: a deleted topic's directory goes" test ! -e $D/u
check_equal "N3: inside it there is nothing" "$(ls)" ""
check_fails "N10: nor can anything be opened" . bash -c "echo x >0"
cd /
check_fails "N10: the bind mount is refused" "No such device or address|No such file|Stale" cat /run/kbbind
topic_create u --partitions 1
check_fails "N10: also when another topic is there" "No such device or address|No such file|Stale" cat /run/kbbind

# N2: the broker comes and goes under the mounts
exec 8</run/kb1		# the command takes mounts away with the broker; this one stays
check "N2: the broker stops with mounts there" kbroker broker stop
check_equal "N2: they are empty then" "$(ls -A /proc/$$/fd/8/)" ""
check_fails "N9: numbers of a stopped broker are not in use" "No such device or address" cat /run/kbnode
check "N2: it starts again" kbroker broker start --dir "$T_DIR"
check_equal "N2: and the old mount shows its nodes" "$(ls /proc/$$/fd/8/t | sort | tr '\n' ' ')" "0 1 2 all "
check_equal "and its records" "$(timeout 60 head -n 2 /proc/$$/fd/8/t/0 | tr '\n' ' ')" "one two "
exec 8<&-
check "N11: st_blksize" test "$(stat -c %o $D/t/0)" = 65536
check "N3: names of 249 characters" kbroker topic create "$(printf 'n%.0s' {1..249})" --partitions 1
check "N3: are nodes" test -c "$D/$(printf 'n%.0s' {1..249})/0"

# many, and how listing goes on
for i in $(seq 12); do kbroker topic create "many-$i" --partitions 1 >/dev/null; done
check_equal "N3: all of many topics are listed, once" "$(ls $D | grep -c '^many-')" 12
check "N3: rewinddir and seekdir" python3 -c "
import os
fd = os.open('$D', os.O_RDONLY)
a = sorted(os.listdir(fd)); b = sorted(os.listdir(fd))
assert a == b and len(set(a)) == len(a) >= 14, (len(a), len(b))"
done_testing
