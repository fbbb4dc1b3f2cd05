// SPDX-License-Identifier: GPL-2.0-only
/* Ids for idempotent producers; see producer_id.h. */
#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/cluster.h"
#include "broker/metadata.h"

/* Ids reserved at once; the next block is reserved when half of it is given */
#define KBR_PRODUCER_ID_BLOCK	1000
/* A member's: ids of one broker epoch, which has the bits above them */
#define KBR_PRODUCER_ID_BITS	28

static int kbr_producer_ids_reserve(struct kbr_broker *broker, s64 end)
{
	struct kbr_metadata_broker own = {
		.uid = from_kuid(&init_user_ns, broker->uid),
		.gid = from_kgid(&init_user_ns, broker->gid),
		.mode = broker->mode,
		.producer_ids = end,
		.configs = broker->config_set,
	};
	int err = kbr_metadata_put_broker(broker, &own);

	if (!err)
		kbr_metadata_compact(broker);
	return err;
}

/* One of the operations: neither another one nor a start or stop runs beside it. */
static void kbr_producer_ids_work(struct work_struct *work)
{
	struct kbr_broker *broker = container_of(work, struct kbr_broker, producer_ids.work);
	struct kbr_producer_ids *ids = &broker->producer_ids;
	s64 end = ids->end + KBR_PRODUCER_ID_BLOCK;
	int err = -ENODEV;

	if (!READ_ONCE(broker->dead) && READ_ONCE(broker->state) == KBR_BROKER_RUNNING)
		err = kbr_producer_ids_reserve(broker, end);
	spin_lock(&ids->lock);
	ids->err = err;
	if (!err)
		ids->end = end;
	spin_unlock(&ids->lock);
	wake_up_all(&ids->wait);
}

void kbr_producer_ids_init(struct kbr_broker *broker)
{
	struct kbr_producer_ids *ids = &broker->producer_ids;

	spin_lock_init(&ids->lock);
	init_waitqueue_head(&ids->wait);
	INIT_WORK(&ids->work, kbr_producer_ids_work);
}

/* A member's: no other broker has its epoch, nor has it another time. */
static int kbr_producer_id_take_member(struct kbr_broker *broker, s64 *id)
{
	struct kbr_producer_ids *ids = &broker->producer_ids;
	s64 epoch = kbr_cluster_epoch(broker);
	int err = 0;

	if (READ_ONCE(broker->dead))
		return -ENODEV;
	if (epoch < 0)
		return -EAGAIN;
	if (epoch >> (63 - KBR_PRODUCER_ID_BITS))
		return -EOVERFLOW;
	spin_lock(&ids->lock);
	if (ids->epoch != epoch) {
		ids->epoch = epoch;
		ids->given = 0;
	}
	if (ids->given >> KBR_PRODUCER_ID_BITS)
		err = -EOVERFLOW;
	else
		*id = epoch << KBR_PRODUCER_ID_BITS | ids->given++;
	spin_unlock(&ids->lock);
	return err;
}

int kbr_producer_id_take(struct kbr_broker *broker, s64 *id)
{
	struct kbr_producer_ids *ids = &broker->producer_ids;
	bool more;
	int err;

	if (kbr_cluster_is_member(broker))
		return kbr_producer_id_take_member(broker, id);
	spin_lock(&ids->lock);
	err = ids->err;
	ids->err = 0;
	if (ids->next < ids->end) {
		*id = ids->next++;
		err = 0;
	} else if (!err) {
		err = -EAGAIN;
	}
	more = ids->end - ids->next < KBR_PRODUCER_ID_BLOCK / 2;
	spin_unlock(&ids->lock);
	if (READ_ONCE(broker->dead))
		return err ? -ENODEV : 0;
	/* After an error whoever comes next begins anew. */
	if (more && (!err || err == -EAGAIN))
		queue_work(broker->ops_wq, &ids->work);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_producer_id_take);
