// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options: GNU habits (--name value, --name=value, -n value, -nvalue, bundled
 * flags, "--", options and words in any order), but long names are exact.
 * getopt_long(3) would take any unambiguous beginning, and scripts would then
 * depend on no other option ever starting alike.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kbroker.h"

/* the options given, in order */
static struct given {
	const struct kb_opt *opt;
	const char *val;
} *given;
static size_t given_count;

static void add_given(const struct kb_opt *opt, const char *val)
{
	given = kb_realloc(given, (given_count + 1) * sizeof(*given));
	given[given_count++] = (struct given){ opt, val };
}

static const struct kb_opt *find_long(const struct kb_opt *opts, const char *name, size_t len)
{
	for (; opts && opts->name; opts++)
		if (!strncmp(opts->name, name, len) && !opts->name[len])
			return opts;
	return NULL;
}

static const struct kb_opt *find_letter(const struct kb_opt *opts, char c)
{
	for (; opts && opts->name; opts++)
		if (opts->letter == c)
			return opts;
	return NULL;
}

static int unknown_long(const struct kb_opt *opts, const char *name, size_t len)
{
	const char *words[64], *guess;
	const struct kb_opt *opt;
	size_t n = 0;
	char copy[64];

	for (opt = opts; opt && opt->name && n < 48; opt++)
		words[n++] = opt->name;
	for (opt = kb_global_opts; opt->name && n < ARRAY_SIZE(words); opt++)
		words[n++] = opt->name;
	snprintf(copy, sizeof(copy), "%.*s", (int)(len < 60 ? len : 60), name);
	guess = kb_guess(copy, words, n);
	if (guess)
		return kb_usage("unknown option --%s (did you mean --%s?)", copy, guess);
	return kb_usage("unknown option --%s", copy);
}

/* whether @val is one of the words that @opt takes */
static bool word_allowed(const struct kb_opt *opt, const char *val)
{
	const char *p = opt->arg;
	size_t len = strlen(val);

	if (opt->free_form || !strchr(p, '|'))
		return true;
	while (*p) {
		size_t n = strcspn(p, "|");

		if (n == len && !memcmp(p, val, n))
			return true;
		p += n + (p[n] == '|');
	}
	return false;
}

static int take(const struct kb_opt *opt, const char *val)
{
	if (val && !word_allowed(opt, val))
		return kb_usage("--%s: '%s' is not one of %s", opt->name, val, opt->arg);
	add_given(opt, val);
	return KB_OK;
}

/* returns how many words of @argv were used, or -1 after an error was told */
static int parse_long(int argc, char **argv, const struct kb_opt *opts)
{
	const char *name = argv[0] + 2, *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct kb_opt *opt;

	opt = find_long(opts, name, len);
	if (!opt)
		opt = find_long(kb_global_opts, name, len);
	if (!opt) {
		unknown_long(opts, name, len);
		return -1;
	}
	if (!opt->arg) {
		if (eq) {
			kb_usage("--%s takes no value", opt->name);
			return -1;
		}
		return take(opt, NULL) ? -1 : 1;
	}
	if (eq)
		return take(opt, eq + 1) ? -1 : 1;
	if (argc < 2) {
		kb_usage("--%s needs a value (%s)", opt->name, opt->arg);
		return -1;
	}
	return take(opt, argv[1]) ? -1 : 2;
}

static int parse_letters(int argc, char **argv, const struct kb_opt *opts)
{
	const char *p;

	for (p = argv[0] + 1; *p; p++) {
		const struct kb_opt *opt = find_letter(opts, *p);

		if (!opt)
			opt = find_letter(kb_global_opts, *p);
		if (!opt) {
			kb_usage("unknown option -%c", *p);
			return -1;
		}
		if (!opt->arg) {
			if (take(opt, NULL))
				return -1;
			continue;
		}
		if (p[1])
			return take(opt, p + 1) ? -1 : 1;
		if (argc < 2) {
			kb_usage("-%c (--%s) needs a value (%s)", *p, opt->name, opt->arg);
			return -1;
		}
		return take(opt, argv[1]) ? -1 : 2;
	}
	return 1;
}

/**
 * kb_opts_parse() - take the options out of a command line
 * @argc: words
 * @argv: words, the first is parsed too
 * @opts: options of the command; the global ones are always taken
 * @stop_at_word: end at the first word that is no option
 * @rest: result: the words that are no options (free() it)
 * @rest_count: result: how many
 *
 * Options given accumulate over calls; kb_opt_get() and its like read them.
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_opts_parse(int argc, char **argv, const struct kb_opt *opts, bool stop_at_word,
		  char ***rest, int *rest_count)
{
	char **words = kb_alloc((argc + 1) * sizeof(*words));
	bool no_more = false;
	int i = 0, n = 0, used;

	while (i < argc) {
		char *word = argv[i];

		if (no_more || word[0] != '-' || !word[1]) {
			if (stop_at_word)
				no_more = true;
			words[n++] = word;
			i++;
			continue;
		}
		if (!strcmp(word, "--") && !stop_at_word) {
			no_more = true;
			i++;
			continue;
		}
		if (word[1] == '-')
			used = parse_long(argc - i, argv + i, opts);
		else
			used = parse_letters(argc - i, argv + i, opts);
		if (used < 0) {
			free(words);
			return KB_USAGE;
		}
		i += used;
	}
	*rest = words;
	*rest_count = n;
	return KB_OK;
}

static const struct kb_opt *must_find(const char *name)
{
	const struct kb_opt *opt = NULL;

	if (kb.cmd)
		opt = find_long(kb.cmd->opts, name, strlen(name));
	if (!opt)
		opt = find_long(kb_global_opts, name, strlen(name));
	if (!opt) {
		/* our own mistake: code and table disagree */
		fprintf(stderr, "kbroker: option --%s is read but not in the table\n", name);
		abort();
	}
	return opt;
}

/**
 * kb_opt_nth() - the value of the @n-th occurrence of an option
 * @name: long name
 * @n: from 0
 *
 * Return: the value, or NULL if it was not given that often.
 */
const char *kb_opt_nth(const char *name, size_t n)
{
	const struct kb_opt *opt = must_find(name);
	size_t i;

	for (i = 0; i < given_count; i++)
		if (given[i].opt == opt && !n--)
			return given[i].val;
	return NULL;
}

/**
 * kb_opt_get() - the value of an option; the last one counts
 * @name: long name
 *
 * Return: the value, NULL if it was not given.
 */
const char *kb_opt_get(const char *name)
{
	const struct kb_opt *opt = must_find(name);
	size_t i = given_count;

	while (i--)
		if (given[i].opt == opt)
			return given[i].val;
	return NULL;
}

/* does this command have such an option? */
bool kb_opt_known(const char *name)
{
	return kb.cmd && find_long(kb.cmd->opts, name, strlen(name));
}

bool kb_opt_has(const char *name)
{
	const struct kb_opt *opt = must_find(name);
	size_t i;

	for (i = 0; i < given_count; i++)
		if (given[i].opt == opt)
			return true;
	return false;
}

void kb_opts_release(void)
{
	free(given);
	given = NULL;
	given_count = 0;
}

static int parse_number(const char *what, const char *text, bool units, int64_t min, int64_t max,
			int64_t *val)
{
	unsigned int shift = 0;
	long long n;
	char *end;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (end == text || text[0] == ' ' || text[0] == '+')
		return kb_usage("%s: '%s' is not a number", what, text);
	if (units && *end) {
		static const char letters[] = "kmgt";
		const char *at = strchr(letters, *end | 0x20);

		if (at)
			shift = 10 * (unsigned int)(at - letters + 1);
		if (!at || (end[1] && strcmp(end + 1, "iB") && strcmp(end + 1, "B")))
			return kb_usage("%s: '%s' is not a size (use a number, or one with k, M, G)",
					what, text);
	} else if (*end) {
		return kb_usage("%s: '%s' is not a number", what, text);
	}
	if (!errno && shift && (n > (INT64_MAX >> shift) || n < (INT64_MIN >> shift)))
		errno = ERANGE;
	if (errno || n * (1LL << shift) < min || n * (1LL << shift) > max)
		return kb_usage("%s: %s is outside %" PRId64 "..%" PRId64, what, text, min, max);
	*val = n * (1LL << shift);
	return KB_OK;
}

/**
 * kb_opt_s64() - read a number option
 * @name: long name
 * @min: least value
 * @max: largest value
 * @val: result; untouched if the option was not given
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_opt_s64(const char *name, int64_t min, int64_t max, int64_t *val)
{
	const char *text = kb_opt_get(name);
	char what[64];

	if (!text)
		return KB_OK;
	snprintf(what, sizeof(what), "--%s", name);
	return parse_number(what, text, false, min, max, val);
}

/* the same with k, M, G behind the number */
int kb_opt_size(const char *name, int64_t min, int64_t max, int64_t *val)
{
	const char *text = kb_opt_get(name);
	char what[64];

	if (!text)
		return KB_OK;
	snprintf(what, sizeof(what), "--%s", name);
	return parse_number(what, text, true, min, max, val);
}

int kb_arg_s64(const char *what, const char *text, int64_t min, int64_t max, int64_t *val)
{
	return parse_number(what, text, false, min, max, val);
}

/* "90s", "15m", "2h", "7d" as ms; 0 if it is no such thing */
static bool parse_span(const char *text, int64_t *ms)
{
	static const struct { const char *unit; int64_t ms; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};
	char *end;
	double n;
	size_t i;

	errno = 0;
	n = strtod(text, &end);
	if (end == text || errno || n < 0 || n > 1e9)
		return false;
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (!strcmp(end, units[i].unit)) {
			*ms = (int64_t)(n * (double)units[i].ms);
			return true;
		}
	}
	return false;
}

/**
 * kb_parse_time() - a point in time
 * @what: option's name, for the message
 * @text: ms since the epoch, "now", "-2h" (ago; ms, s, m, h, d), or
 *	"2026-01-31[T12:00[:00[.000]]][Z]" (UTC with the Z, local time without)
 * @ms: result
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_parse_time(const char *what, const char *text, int64_t *ms)
{
	static const char *const formats[] = {
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d %H:%M", "%Y-%m-%d",
	};
	struct tm tm;
	int64_t span;
	long long n;
	size_t i;
	char *end;

	if (!strcmp(text, "now")) {
		*ms = kb_now_ms();
		return KB_OK;
	}
	if (text[0] == '-' && parse_span(text + 1, &span)) {
		*ms = kb_now_ms() - span;
		return KB_OK;
	}
	errno = 0;
	n = strtoll(text, &end, 10);
	if (end != text && !*end && !errno && n >= 0) {
		*ms = n;
		return KB_OK;
	}
	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		int64_t frac = 0;
		time_t sec;

		memset(&tm, 0, sizeof(tm));
		tm.tm_isdst = -1;
		end = strptime(text, formats[i], &tm);
		if (!end)
			continue;
		if (*end == '.') {
			unsigned int scale = 100;

			for (end++; *end >= '0' && *end <= '9'; end++, scale /= 10)
				frac += (*end - '0') * scale;
		}
		if (strcmp(end, "Z") && *end)
			continue;
		sec = *end == 'Z' ? timegm(&tm) : mktime(&tm);
		*ms = (int64_t)sec * 1000 + frac;
		return KB_OK;
	}
	return kb_usage("%s: '%s' is not a time (ms since the epoch, now, -2h, or 2026-01-31T12:00:00Z)",
			what, text);
}
