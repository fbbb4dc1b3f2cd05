// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets of configs as somebody wrote them: sorted, unique, bounded lists of
 * names and values. What the values mean is config.c's business.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "broker/config.h"

/* More than there are configs, so that a bad name is told from a full set */
#define KBR_CONFIGS_MAX		64

/* Index of @name, or of where it would go. */
static unsigned int kbr_config_set_find(const struct kbr_config_set *set, const char *name,
					bool *found)
{
	unsigned int i;
	int order = -1;

	for (i = 0; i < set->count; i++) {
		order = strcmp(set->entries[i].name, name);
		if (order >= 0)
			break;
	}
	*found = i < set->count && !order;
	return i;
}

/**
 * kbr_config_set_put() - set a config, replacing what was there
 * @set: set
 * @name: copied
 * @value: copied
 *
 * Return: 0; -EINVAL a name or value that is empty or too long; -E2BIG too
 * many names; -ENOMEM.
 */
int kbr_config_set_put(struct kbr_config_set *set, const char *name, const char *value)
{
	struct kbr_config_entry *entries, fresh;
	unsigned int at;
	bool found;

	if (!*name || strlen(name) > KBR_CONFIG_NAME_MAX || strlen(value) > KBR_CONFIG_VALUE_MAX)
		return -EINVAL;
	fresh.value = kstrdup(value, GFP_KERNEL_ACCOUNT);
	if (!fresh.value)
		return -ENOMEM;
	at = kbr_config_set_find(set, name, &found);
	if (found) {
		kfree(set->entries[at].value);
		set->entries[at].value = fresh.value;
		return 0;
	}
	if (set->count >= KBR_CONFIGS_MAX) {
		kfree(fresh.value);
		return -E2BIG;
	}
	fresh.name = kstrdup(name, GFP_KERNEL_ACCOUNT);
	entries = krealloc_array(set->entries, set->count + 1, sizeof(*entries),
				 GFP_KERNEL_ACCOUNT);
	if (entries)
		set->entries = entries;
	if (!fresh.name || !entries) {
		kfree(fresh.name);
		kfree(fresh.value);
		return -ENOMEM;
	}
	memmove(entries + at + 1, entries + at, (set->count - at) * sizeof(*entries));
	entries[at] = fresh;
	set->count++;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_config_set_put);

/* kbr_config_set_del() - take @name out; 0, or -ENOENT if it was not set */
int kbr_config_set_del(struct kbr_config_set *set, const char *name)
{
	unsigned int at;
	bool found;

	at = kbr_config_set_find(set, name, &found);
	if (!found)
		return -ENOENT;
	kfree(set->entries[at].name);
	kfree(set->entries[at].value);
	set->count--;
	memmove(set->entries + at, set->entries + at + 1,
		(set->count - at) * sizeof(*set->entries));
	if (!set->count) {
		kfree(set->entries);
		set->entries = NULL;
	}
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_config_set_del);

/* kbr_config_set_get() - the value of @name, owned by @set, or NULL */
const char *kbr_config_set_get(const struct kbr_config_set *set, const char *name)
{
	unsigned int at;
	bool found;

	at = kbr_config_set_find(set, name, &found);
	return found ? set->entries[at].value : NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_config_set_get);

/* kbr_config_set_copy() - make @to (overwritten, not freed) a copy of @from; 0 or -ENOMEM and @to is empty */
int kbr_config_set_copy(struct kbr_config_set *to, const struct kbr_config_set *from)
{
	unsigned int i;
	int err;

	memset(to, 0, sizeof(*to));
	for (i = 0; i < from->count; i++) {
		err = kbr_config_set_put(to, from->entries[i].name, from->entries[i].value);
		if (err) {
			kbr_config_set_free(to);
			return err;
		}
	}
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_config_set_copy);

int kbr_config_set_merge(struct kbr_config_set *to, const struct kbr_config_set *from,
			 const struct kbr_config_set *set, const struct kbr_config_set *del,
			 int (*known)(const char *name, struct kbr_refusal *why),
			 struct kbr_refusal *why)
{
	int err = kbr_config_set_copy(to, from);
	unsigned int i;

	for (i = 0; !err && i < del->count; i++) {
		err = known(del->entries[i].name, why);
		if (!err)
			kbr_config_set_del(to, del->entries[i].name);
	}
	for (i = 0; !err && i < set->count; i++)
		err = kbr_config_set_put(to, set->entries[i].name, set->entries[i].value);
	if (err)
		kbr_config_set_free(to);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_config_set_merge);

/* kbr_config_set_free() - free what is in @set and leave it empty */
void kbr_config_set_free(struct kbr_config_set *set)
{
	unsigned int i;

	for (i = 0; i < set->count; i++) {
		kfree(set->entries[i].name);
		kfree(set->entries[i].value);
	}
	kfree(set->entries);
	memset(set, 0, sizeof(*set));
}
KBR_EXPORT_IF_KUNIT(kbr_config_set_free);
