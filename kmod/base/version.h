/* SPDX-License-Identifier: GPL-2.0-only */
/* The version of the module, as modinfo and netlink show it. */
#ifndef _KBR_BASE_VERSION_H
#define _KBR_BASE_VERSION_H

#define KBR_VERSION	"0.1.0"

#endif /* _KBR_BASE_VERSION_H */
