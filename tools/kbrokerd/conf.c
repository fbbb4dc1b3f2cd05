// SPDX-License-Identifier: GPL-2.0-only
/* A daemon's configuration; see conf.h. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/uuid.h"
#include "conf.h"

__attribute__((format(printf, 3, 4)))
static int refuse(char *why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, KBD_WHY_CONF, fmt, ap);
	va_end(ap);
	return err;
}

int kbd_secret_read(const char *path, u8 secret[KBD_SECRET_SIZE], char *why)
{
	char digits[2 * KBD_SECRET_SIZE + 1];
	FILE *file = fopen(path, "re");
	struct stat st;
	unsigned int i;
	size_t len;

	if (!file)
		return refuse(why, -errno, "cannot read %s: %s", path, strerror(errno));
	if (fstat(fileno(file), &st) || st.st_mode & 077) {
		fclose(file);
		return refuse(why, -EPERM, "%s can be read by others: chmod 600", path);
	}
	len = fread(digits, 1, sizeof(digits), file);
	fclose(file);
	if (len < 2 * KBD_SECRET_SIZE || (len > 2 * KBD_SECRET_SIZE && digits[len - 1] != '\n'))
		return refuse(why, -EINVAL, "%s does not hold %d hexadecimal digits", path,
			      2 * KBD_SECRET_SIZE);
	for (i = 0; i < KBD_SECRET_SIZE; i++) {
		char two[3] = { digits[2 * i], digits[2 * i + 1] };

		if (!isxdigit((unsigned char)two[0]) || !isxdigit((unsigned char)two[1]))
			return refuse(why, -EINVAL, "%s does not hold %d hexadecimal digits", path,
				      2 * KBD_SECRET_SIZE);
		secret[i] = strtoul(two, NULL, 16);
	}
	return 0;
}

static bool number(const char *value, unsigned long max, unsigned long *result)
{
	char *end;

	errno = 0;
	*result = strtoul(value, &end, 10);
	return isdigit((unsigned char)*value) && !*end && !errno && *result <= max;
}

static bool text(const char *value, char *to, size_t size)
{
	return (size_t)snprintf(to, size, "%s", value) < size;
}

static bool address(const char *value, char *to)
{
	struct sockaddr_storage parsed;

	return text(value, to, KBD_DAEMON_ADDRESS_MAX + 1) && !kbd_address(value, &parsed);
}

/* false: @value can't be that of @key; @known is cleared for a key that there is not */
static bool take(struct kbd_conf *conf, const char *key, const char *value, bool *known)
{
	struct kbd_endpoint *at = &conf->endpoint;
	unsigned long n = 0;
	bool fits;

	if (!strcmp(key, "cluster.id"))
		return !kbr_uuid_parse(value, conf->self.cluster);
	if (!strcmp(key, "broker"))
		return text(value, conf->broker, sizeof(conf->broker));
	if (!strcmp(key, "listen"))
		return address(value, conf->listen);
	if (!strcmp(key, "advertised"))
		return address(value, conf->self.address);
	if (!strcmp(key, "join"))
		return address(value, conf->join);
	if (!strcmp(key, "broker.address"))
		return text(value, at->address, sizeof(at->address));
	if (!strcmp(key, "broker.host"))
		return text(value, at->host, sizeof(at->host));
	if (!strcmp(key, "rack"))
		return text(value, at->rack, sizeof(at->rack));
	if (!strcmp(key, "node.id")) {
		fits = number(value, KBROKER_ID_MAX, &n);
		conf->self.id = n;
	} else if (!strcmp(key, "broker.port")) {
		fits = number(value, 65535, &n);
		at->port = n;
	} else if (!strcmp(key, "broker.host.port")) {
		fits = number(value, 65535, &n);
		at->host_port = n;
	} else if (!strcmp(key, "session.timeout.ms")) {
		fits = number(value, 600000, &n);
		conf->session_ms = n;
	} else if (!strcmp(key, "election.timeout.ms")) {
		fits = number(value, 600000, &n);
		conf->election_ms = n;
	} else if (!strcmp(key, "bootstrap") || !strcmp(key, "witness")) {
		fits = number(value, 1, &n);
		if (*key == 'b')
			conf->bootstrap = n;
	} else {
		*known = false;
		return true;
	}
	return fits;
}

static int take_line(struct kbd_conf *conf, char *line, const char *path, unsigned int at, char *why)
{
	size_t len = strcspn(line, "\n");
	bool known = true;
	char *value;

	while (len && isspace((unsigned char)line[len - 1]))
		len--;
	line[len] = '\0';
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return 0;
	value = strchr(line, '=');
	if (!value)
		return refuse(why, -EINVAL, "%s:%u: \"%s\" is no key=value", path, at, line);
	*value++ = '\0';
	if (!take(conf, line, value, &known))
		return refuse(why, -EINVAL, "%s:%u: %s can't be \"%s\"", path, at, line, value);
	if (!known)
		return refuse(why, -EINVAL, "%s:%u: there is no key \"%s\"", path, at, line);
	return 0;
}

int kbd_conf_read(struct kbd_conf *conf, const char *dir, char *why)
{
	static const u8 none[sizeof(conf->self.cluster)];
	char path[256], line[512];
	unsigned int at = 0;
	FILE *file;
	int err = 0;

	memset(conf, 0, sizeof(*conf));
	conf->self.id = -1;
	if (!text(dir, conf->dir, sizeof(conf->dir)))
		return refuse(why, -ENAMETOOLONG, "the directory's name is too long");
	snprintf(path, sizeof(path), "%s/daemon.conf", dir);
	file = fopen(path, "re");
	if (!file)
		return refuse(why, -errno, "cannot read %s: %s; \"kbroker cluster init\" makes it", path,
			      strerror(errno));
	while (!err && fgets(line, sizeof(line), file))
		err = take_line(conf, line, path, ++at, why);
	fclose(file);
	if (err)
		return err;
	if (conf->self.id < 0)
		return refuse(why, -EINVAL, "%s: node.id is missing", path);
	if (!memcmp(conf->self.cluster, none, sizeof(none)))
		return refuse(why, -EINVAL, "%s: cluster.id is missing", path);
	if (!*conf->listen)
		return refuse(why, -EINVAL, "%s: listen is missing", path);
	if (!*conf->self.address)
		strcpy(conf->self.address, conf->listen);
	if (*conf->broker && (!*conf->endpoint.address || !conf->endpoint.port))
		return refuse(why, -EINVAL, "%s: broker.address and broker.port are missing", path);
	snprintf(path, sizeof(path), "%s/secret", dir);
	err = kbd_secret_read(path, conf->secret, why);
	if (err)
		return err;
	if (kbd_link_key(conf->secret, sizeof(conf->secret), conf->self.key))
		return refuse(why, -EIO, "the cryptographic library makes no key");
	return 0;
}
