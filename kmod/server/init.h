/* SPDX-License-Identifier: GPL-2.0-only */
/* The server as the rest of the module sees it. */
#ifndef _KBR_SERVER_INIT_H
#define _KBR_SERVER_INIT_H

/** kbr_server_init() - let the broker layer know who provides listeners; before the first namespace */
void kbr_server_init(void);

#endif /* _KBR_SERVER_INIT_H */
