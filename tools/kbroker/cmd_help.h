/* SPDX-License-Identifier: GPL-2.0-only */
/* Help, printed from the command table. */
#ifndef KBROKER_TOOL_CMD_HELP_H
#define KBROKER_TOOL_CMD_HELP_H

#include "kbroker.h"

void kb_help_all(FILE *out);
void kb_help_object(const struct kb_object *obj, FILE *out);
void kb_help_command(const struct kb_object *obj, const struct kb_cmd *cmd);

#endif /* KBROKER_TOOL_CMD_HELP_H */
