# SPDX-License-Identifier: GPL-2.0-only
#
# Reads linux/kbroker_netlink.h and writes kb_attr_name(), which names the
# attributes of each command as the specification does. So the names can't
# disagree with the numbers.

/^enum/ { n = 0 }
/^\tKBROKER_A_[A-Z0-9_]+( = 1)?,/ { names[n++] = substr($1, 1, index($1 ",", ",") - 1) }
/^\t__KBROKER_A_[A-Z0-9_]+_MAX,/ {
	set = $1
	sub(/^__KBROKER_A_/, "", set)
	sub(/_MAX,$/, "", set)
	sets[count++] = set
	body = ""
	for (i = 0; i < n; i++) {
		name = names[i]
		sub("^KBROKER_A_" set "_", "", name)
		name = tolower(name)
		gsub(/_/, "-", name)
		body = body sprintf("\t[%s] = \"%s\",\n", names[i], name)
	}
	bodies[set] = body
}
/^\tKBROKER_CMD_[A-Z0-9_]+( = 1)?,/ { cmds[cmd_count++] = substr($1, 1, index($1 ",", ",") - 1) }

END {
	print "/* made from linux/kbroker_netlink.h by attr-names.awk */"
	print "#include <linux/kbroker_netlink.h>\n#include <stddef.h>\n"
	for (i = 0; i < count; i++)
		printf "static const char *const kb_names_%s[] = {\n%s};\n\n", tolower(sets[i]), bodies[sets[i]]
	print "static inline const char *kb_attr_name(int cmd, int type)\n{"
	print "\tconst char *const *names;\n\tsize_t n;\n\n\tswitch (cmd) {"
	for (i = 0; i < cmd_count; i++) {
		object = cmds[i]
		sub(/^KBROKER_CMD_/, "", object)
		sub(/_[A-Z]+$/, "", object)
		if ((object "_ENTRY") in bodies)
			object = object "_ENTRY"
		if (!(object in bodies))
			continue
		array = "kb_names_" tolower(object)
		printf "\tcase %s:\n\t\tnames = %s;\n\t\tn = sizeof(%s) / sizeof(*%s);\n\t\tbreak;\n", \
			cmds[i], array, array, array
	}
	print "\tdefault:\n\t\treturn NULL;\n\t}"
	print "\treturn type > 0 && (size_t)type < n ? names[type] : NULL;\n}"
}
