/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: C's own. */
#ifndef _KBR_COMPAT_STRING_H
#define _KBR_COMPAT_STRING_H

#include <string.h>

#endif /* _KBR_COMPAT_STRING_H */
