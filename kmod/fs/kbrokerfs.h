/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file system that shows the device nodes, as the rest of the module sees it.
 */
#ifndef _KBR_FS_KBROKERFS_H
#define _KBR_FS_KBROKERFS_H

/** kbr_fs_init() - register file system "kbroker", after kbr_chardev_init(); 0 or -errno */
int kbr_fs_init(void);
/** kbr_fs_exit() - unregister it; mounts pin the module, so there is none */
void kbr_fs_exit(void);

#endif /* _KBR_FS_KBROKERFS_H */
