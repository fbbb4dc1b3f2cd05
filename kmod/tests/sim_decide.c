// SPDX-License-Identifier: GPL-2.0-only
/* The daemon's decisions, for the simulation of clusters; see sim.h. */
#include "../../tools/kbrokerd/decide.c"
