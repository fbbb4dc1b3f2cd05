// SPDX-License-Identifier: GPL-2.0-only
/*
 * kbroker, a Kafka broker as a kernel module: loading in order, unloading in
 * reverse. Nothing runs and nothing is registered in a namespace but its state
 * until somebody starts a broker over netlink.
 */
#include <linux/init.h>
#include <linux/kbroker_netlink.h>
#include <linux/module.h>
#include <net/genetlink.h>

#include "base/version.h"
#include "broker/broker.h"
#include "broker/net.h"
#include "chardev/chardev.h"
#include "fetcher/init.h"
#include "fs/kbrokerfs.h"
#include "netlink/family.h"
#include "server/init.h"

static int __init kbr_init(void)
{
	int err;

	err = kbr_broker_init();
	if (err)
		return err;
	kbr_server_init();
	kbr_fetcher_init();
	err = kbr_net_register();
	if (err)
		goto exit_broker;
	err = kbr_chardev_init();
	if (err)
		goto unregister_net;
	err = kbr_fs_init();
	if (err)
		goto exit_chardev;
	/* Last: from now on brokers may be started. */
	err = kbr_netlink_init();
	if (err)
		goto exit_fs;
	return 0;

exit_fs:
	kbr_fs_exit();
exit_chardev:
	kbr_chardev_exit();
unregister_net:
	kbr_net_unregister();
exit_broker:
	kbr_broker_exit();
	return err;
}

/*
 * A running broker, an open device and a mount hold a reference on the module,
 * so that none is left here; what kbr_broker_exit() waits for is the rest of a
 * worker that has just let go.
 */
static void __exit kbr_exit(void)
{
	kbr_netlink_exit();
	kbr_fs_exit();
	kbr_chardev_exit();
	kbr_net_unregister();
	kbr_broker_exit();
}

module_init(kbr_init);
module_exit(kbr_exit);

MODULE_DESCRIPTION("Kafka broker: durable, ordered logs as files, on disk in Kafka's format");
MODULE_AUTHOR("The kbroker authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(KBR_VERSION);
MODULE_SOFTDEP("pre: crc32c");
MODULE_ALIAS_GENL_FAMILY(KBROKER_FAMILY_NAME);
