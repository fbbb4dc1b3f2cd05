/* SPDX-License-Identifier: GPL-2.0-only */
/* What the module's init calls. */
#ifndef _KBR_FETCHER_INIT_H
#define _KBR_FETCHER_INIT_H

/** kbr_fetcher_init() - followers fetch from now on; before any broker starts */
void kbr_fetcher_init(void);

#endif /* _KBR_FETCHER_INIT_H */
