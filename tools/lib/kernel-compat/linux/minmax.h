/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: minimum and maximum of one type. */
#ifndef _KBR_COMPAT_MINMAX_H
#define _KBR_COMPAT_MINMAX_H

#define min_t(type, a, b) (__extension__ ({	\
	type _min_a = (a), _min_b = (b);	\
	_min_a < _min_b ? _min_a : _min_b; }))
#define max_t(type, a, b) (__extension__ ({	\
	type _max_a = (a), _max_b = (b);	\
	_max_a > _max_b ? _max_a : _max_b; }))

#endif /* _KBR_COMPAT_MINMAX_H */
