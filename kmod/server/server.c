// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server of a broker: made with its first listener, stopped with it. Holds
 * the tables of listeners and connections, closes what is idle, and answers
 * what netlink asks. Sockets are in listener.c and conn.c, requests in
 * api_<name>.c.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/printk.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/event.h"
#include "server/fetch_session.h"
#include "server/server.h"

/* Pause between two looks for idle connections: a part of what idle is, in these bounds, ms */
#define KBR_SWEEP_PART		8
#define KBR_SWEEP_MS_MIN	250
#define KBR_SWEEP_MS_MAX	30000
/* While memory is short it is no longer than this */
#define KBR_STALL_SWEEP_MS	1000

/* Guards kbr_broker.server; innermost, held over nothing. */
static DEFINE_SPINLOCK(kbr_servers_lock);

/* ---- handlers ---- */

static const struct {
	s16 key;
	const struct kbr_handler *handler;
} kbr_handlers[] = {
	{ KBR_API_PRODUCE, &kbr_handle_produce },
	{ KBR_API_FETCH, &kbr_handle_fetch },
	{ KBR_API_LIST_OFFSETS, &kbr_handle_list_offsets },
	{ KBR_API_INIT_PRODUCER_ID, &kbr_handle_init_producer_id },
	{ KBR_API_OFFSET_FOR_LEADER_EPOCH, &kbr_handle_offset_for_leader_epoch },
	{ KBR_API_METADATA, &kbr_handle_metadata },
	{ KBR_API_OFFSET_COMMIT, &kbr_handle_offset_commit },
	{ KBR_API_OFFSET_FETCH, &kbr_handle_offset_fetch },
	{ KBR_API_FIND_COORDINATOR, &kbr_handle_find_coordinator },
	{ KBR_API_JOIN_GROUP, &kbr_handle_join_group },
	{ KBR_API_HEARTBEAT, &kbr_handle_heartbeat },
	{ KBR_API_LEAVE_GROUP, &kbr_handle_leave_group },
	{ KBR_API_SYNC_GROUP, &kbr_handle_sync_group },
	{ KBR_API_DESCRIBE_GROUPS, &kbr_handle_describe_groups },
	{ KBR_API_LIST_GROUPS, &kbr_handle_list_groups },
	{ KBR_API_DELETE_GROUPS, &kbr_handle_delete_groups },
	{ KBR_API_OFFSET_DELETE, &kbr_handle_offset_delete },
	{ KBR_API_SASL_HANDSHAKE, &kbr_handle_sasl_handshake },
	{ KBR_API_SASL_AUTHENTICATE, &kbr_handle_sasl_authenticate },
	{ KBR_API_API_VERSIONS, &kbr_handle_api_versions },
	{ KBR_API_CREATE_TOPICS, &kbr_handle_create_topics },
	{ KBR_API_DELETE_TOPICS, &kbr_handle_delete_topics },
	{ KBR_API_DELETE_RECORDS, &kbr_handle_delete_records },
	{ KBR_API_DESCRIBE_CONFIGS, &kbr_handle_describe_configs },
	{ KBR_API_ALTER_CONFIGS, &kbr_handle_alter_configs },
	{ KBR_API_CREATE_PARTITIONS, &kbr_handle_create_partitions },
	{ KBR_API_INCREMENTAL_ALTER_CONFIGS, &kbr_handle_incremental_alter_configs },
	{ KBR_API_SHARE, &kbr_handle_share },
	{ KBR_API_GROUP_VIEW, &kbr_handle_group_view },
};

const struct kbr_handler *kbr_handler_find(s16 key)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_handlers); i++)
		if (kbr_handlers[i].key == key)
			return kbr_handlers[i].handler;
	return NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_handler_find);

/* ---- life ---- */

static void kbr_server_release(struct kref *ref)
{
	struct kbr_server *server = container_of(ref, struct kbr_server, ref);

	kbr_broker_put(server->broker);
	mutex_destroy(&server->lock);
	xa_destroy(&server->conns);
	kfree(server);
}

static void kbr_server_put(struct kbr_server *server)
{
	kref_put(&server->ref, kbr_server_release);
}

/* The server of @broker with a reference; NULL: it has none, or has no more. */
static struct kbr_server *kbr_server_get(struct kbr_broker *broker)
{
	struct kbr_server *server;

	spin_lock(&kbr_servers_lock);
	server = broker->server;
	if (!IS_ERR_OR_NULL(server))
		kref_get(&server->ref);
	else
		server = NULL;
	spin_unlock(&kbr_servers_lock);
	return server;
}

/* No server is made any more. The one that there is with a reference, or NULL. */
static struct kbr_server *kbr_server_retire(struct kbr_broker *broker)
{
	spin_lock(&kbr_servers_lock);
	if (!broker->server)
		broker->server = ERR_PTR(-ESHUTDOWN);
	spin_unlock(&kbr_servers_lock);
	return kbr_server_get(broker);
}

static s64 kbr_server_idle_ms(const struct kbr_server *server)
{
	return READ_ONCE(server->broker->config.connections_idle_ms);
}

static void kbr_server_sweep_later(struct kbr_server *server, bool starved)
{
	s64 ms = clamp_t(s64, kbr_server_idle_ms(server) / KBR_SWEEP_PART, KBR_SWEEP_MS_MIN,
			 KBR_SWEEP_MS_MAX);

	if (starved)
		ms = min_t(s64, ms, KBR_STALL_SWEEP_MS);
	WRITE_ONCE(server->sweep_at, jiffies + msecs_to_jiffies(ms));
	mod_delayed_work(system_wq, &server->sweep, msecs_to_jiffies(ms));
}

static void kbr_server_sweep(struct work_struct *work)
{
	struct kbr_server *server = container_of(to_delayed_work(work), struct kbr_server, sweep);
	bool starved = atomic_read(&server->starved);
	s64 idle_ms = kbr_server_idle_ms(server);
	struct kbr_conn *conn;
	unsigned long id;

	xa_lock(&server->conns);
	xa_for_each(&server->conns, id, conn) {
		bool hoards = starved && READ_ONCE(conn->bytes) &&
			      kbr_conn_is_still(conn, KBR_STALL_MS);

		if (!hoards && !kbr_conn_is_still(conn, idle_ms))
			continue;
		if (!kbr_conn_waits_for_us(conn))
			set_bit(KBR_CONN_CLOSE, &conn->flags);
		else if (!hoards)
			continue;
		/* Else it has waited long enough: its work answers it. */
		kbr_conn_kick(conn);
	}
	xa_unlock(&server->conns);
	/* The limit may have been raised. */
	if (starved && atomic64_read(&server->bytes) < kbr_server_bytes_max(server))
		kbr_server_feed(server);
	kbr_server_sweep_later(server, starved);
}

void kbr_server_starve(struct kbr_server *server)
{
	unsigned long soon = jiffies + msecs_to_jiffies(KBR_STALL_SWEEP_MS);

	/* Sooner, never later: memory may be short and not, many times in a second. */
	if (atomic_inc_return(&server->starved) == 1 &&
	    time_after(READ_ONCE(server->sweep_at), soon))
		kbr_server_sweep_later(server, true);
}

void kbr_server_feed(struct kbr_server *server)
{
	struct kbr_conn *conn;
	unsigned long id;

	xa_lock(&server->conns);
	xa_for_each(&server->conns, id, conn)
		if (test_bit(KBR_CONN_STARVED, &conn->flags))
			kbr_conn_kick(conn);
	xa_unlock(&server->conns);
}

static struct kbr_server *kbr_server_create(struct kbr_broker *broker)
{
	struct kbr_server *server = kzalloc(sizeof(*server), GFP_KERNEL);

	if (!server)
		return NULL;
	/*
	 * A work that reads what is not cached sleeps in its worker: as many as
	 * there may be, or clients of a slow disk keep others waiting. A rescuer
	 * would have one of them sleep before many others.
	 */
	server->wq = alloc_workqueue("kbr-server/%s", WQ_UNBOUND, WQ_MAX_ACTIVE, broker->name);
	if (!server->wq) {
		kfree(server);
		return NULL;
	}
	kref_init(&server->ref);
	kbr_broker_get(broker);
	server->broker = broker;
	mutex_init(&server->lock);
	INIT_LIST_HEAD(&server->listeners);
	xa_init(&server->conns);
	init_waitqueue_head(&server->gone);
	INIT_DELAYED_WORK(&server->sweep, kbr_server_sweep);
	return server;
}

/* It, with a reference, made if there was none; an error pointer. */
static struct kbr_server *kbr_server_need(struct kbr_broker *broker)
{
	struct kbr_server *server = kbr_server_get(broker), *made;

	if (server)
		return server;
	made = kbr_server_create(broker);
	if (!made)
		return ERR_PTR(-ENOMEM);
	spin_lock(&kbr_servers_lock);
	server = broker->server;
	if (!server) {
		broker->server = made;
		server = made;
	}
	if (!IS_ERR(server))
		kref_get(&server->ref);
	spin_unlock(&kbr_servers_lock);
	if (server == made)
		return server;
	/* Somebody else was first, or the broker stops. */
	destroy_workqueue(made->wq);
	kbr_server_put(made);
	return IS_ERR(server) ? ERR_PTR(-ENODEV) : server;
}

/* ---- listeners ---- */

static void kbr_server_raise(struct kbr_broker *broker, enum kbr_event_kind kind,
			     const struct kbr_listener_info *info)
{
	struct kbr_event event = { .kind = kind, .broker = broker, .listener = info };

	kbr_event_raise(broker->knet, &event);
}

static int kbr_server_listener_add(struct kbr_broker *broker,
				   const struct kbr_listener_params *params, u32 *id,
				   struct kbr_refusal *why)
{
	struct kbr_listener_info info;
	struct kbr_listener *listener;
	struct kbr_server *server;
	int err = 0;

	server = kbr_server_need(broker);
	if (IS_ERR(server))
		return PTR_ERR(server) == -ENODEV ?
			kbr_refuse(why, -ENODEV, 0, "broker %s is stopping", broker->name) :
			PTR_ERR(server);
	mutex_lock(&server->lock);
	if (server->draining || server->dead) {
		err = kbr_refuse(why, -ENODEV, 0, "broker %s is stopping", broker->name);
		goto unlock;
	}
	if (server->listeners_count >= KBR_LISTENERS_MAX) {
		err = kbr_refuse(why, -E2BIG, 0, "a broker has at most %u listeners",
				 KBR_LISTENERS_MAX);
		goto unlock;
	}
	listener = kbr_listener_create(server, params, why);
	if (IS_ERR(listener)) {
		err = PTR_ERR(listener);
		goto unlock;
	}
	list_add_tail(&listener->node, &server->listeners);
	server->listeners_count++;
	/* Under the lock: a stop that ends it says before that it is dead. */
	kbr_server_sweep_later(server, atomic_read(&server->starved));
	*id = listener->id;
	kbr_listener_get_info(listener, &info);
	pr_info("%s: listens at %pISpc\n", broker->name, &listener->params.address);
	kbr_listener_open(listener);
unlock:
	mutex_unlock(&server->lock);
	if (!err)
		kbr_server_raise(broker, KBR_EVENT_LISTENER_NEW, &info);
	kbr_server_put(server);
	return err;
}

static struct kbr_listener *kbr_server_find_listener(struct kbr_server *server, u32 id)
{
	struct kbr_listener *listener;

	lockdep_assert_held(&server->lock);
	list_for_each_entry(listener, &server->listeners, node)
		if (listener->id == id)
			return listener;
	return NULL;
}

/* Close those of @listener, or all. */
static void kbr_server_close_conns(struct kbr_server *server, const struct kbr_listener *listener)
{
	struct kbr_conn *conn;
	unsigned long id;

	xa_lock(&server->conns);
	xa_for_each(&server->conns, id, conn) {
		if (listener && conn->listener != listener)
			continue;
		set_bit(KBR_CONN_CLOSE, &conn->flags);
		kbr_conn_kick(conn);
	}
	xa_unlock(&server->conns);
}

static int kbr_server_listener_del(struct kbr_broker *broker, u32 id, struct kbr_refusal *why)
{
	struct kbr_server *server = kbr_server_get(broker);
	struct kbr_listener *listener = NULL;
	struct kbr_listener_info info;

	if (server) {
		mutex_lock(&server->lock);
		listener = kbr_server_find_listener(server, id);
		if (listener) {
			list_del(&listener->node);
			server->listeners_count--;
			kbr_listener_close(listener);
			kbr_listener_get_info(listener, &info);
			kbr_server_close_conns(server, listener);
		}
		mutex_unlock(&server->lock);
		kbr_server_put(server);
	}
	if (!listener)
		return kbr_refuse(why, -ENOENT, 0, "there is no listener %u", id);
	pr_info("%s: listens at %pISpc no more\n", broker->name, &info.params.address);
	kbr_server_raise(broker, KBR_EVENT_LISTENER_DEL, &info);
	kbr_listener_put(listener);
	return 0;
}

static bool kbr_server_listener_next(struct kbr_broker *broker, u32 after,
				     struct kbr_listener_info *info)
{
	struct kbr_server *server = kbr_server_get(broker);
	struct kbr_listener *listener;
	bool found = false;

	if (!server)
		return false;
	mutex_lock(&server->lock);
	list_for_each_entry(listener, &server->listeners, node) {
		if (listener->id <= after)
			continue;
		kbr_listener_get_info(listener, info);
		found = true;
		break;
	}
	mutex_unlock(&server->lock);
	kbr_server_put(server);
	return found;
}

/* ---- connections ---- */

static bool kbr_server_connection_next(struct kbr_broker *broker, u64 after,
				       struct kbr_connection_info *info)
{
	struct kbr_server *server = kbr_server_get(broker);
	unsigned long id = after;
	struct kbr_conn *conn;

	if (!server)
		return false;
	xa_lock(&server->conns);
	conn = xa_find_after(&server->conns, &id, ULONG_MAX, XA_PRESENT);
	if (conn)
		kbr_conn_get_info(conn, info);
	xa_unlock(&server->conns);
	kbr_server_put(server);
	return conn;
}

static int kbr_server_connection_close(struct kbr_broker *broker, u64 id, struct kbr_refusal *why)
{
	struct kbr_server *server = kbr_server_get(broker);
	struct kbr_conn *conn = NULL;

	if (server) {
		xa_lock(&server->conns);
		conn = xa_load(&server->conns, id);
		if (conn) {
			set_bit(KBR_CONN_CLOSE, &conn->flags);
			kbr_conn_kick(conn);
		}
		xa_unlock(&server->conns);
		kbr_server_put(server);
	}
	return conn ? 0 : kbr_refuse(why, -ENOENT, 0, "there is no connection %llu", id);
}

/* ---- start and stop ---- */

static void kbr_server_open(struct kbr_broker *broker)
{
	struct kbr_server *server = kbr_server_get(broker);
	struct kbr_listener *listener;

	if (!server)
		return;
	mutex_lock(&server->lock);
	if (!server->draining && !server->dead)
		list_for_each_entry(listener, &server->listeners, node)
			kbr_listener_open(listener);
	mutex_unlock(&server->lock);
	kbr_server_put(server);
}

static void kbr_server_close_listeners(struct kbr_server *server)
{
	struct kbr_listener *listener;

	lockdep_assert_held(&server->lock);
	list_for_each_entry(listener, &server->listeners, node)
		kbr_listener_close(listener);
}

/* Close all sockets; whatever their works are at, they see it next. Waits for none of them. */
static void kbr_server_kill(struct kbr_server *server)
{
	struct kbr_conn *conn;
	unsigned long id = 0;

	lockdep_assert_held(&server->lock);
	WRITE_ONCE(server->dead, true);
	kbr_server_close_listeners(server);
	for (;;) {
		xa_lock(&server->conns);
		conn = xa_find_after(&server->conns, &id, ULONG_MAX, XA_PRESENT);
		if (conn) {
			kref_get(&conn->ref);
			kbr_conn_kick(conn);
		}
		xa_unlock(&server->conns);
		if (!conn)
			break;
		kbr_conn_reset(conn);
		kbr_conn_put(conn);
	}
}

static void kbr_server_abort(struct kbr_broker *broker)
{
	struct kbr_server *server = kbr_server_retire(broker);

	if (!server)
		return;
	mutex_lock(&server->lock);
	kbr_server_kill(server);
	mutex_unlock(&server->lock);
	wake_up_all(&server->gone);
	kbr_server_put(server);
}

static void kbr_server_drain(struct kbr_server *server)
{
	struct kbr_conn *conn;
	unsigned long id;

	mutex_lock(&server->lock);
	WRITE_ONCE(server->draining, true);
	kbr_server_close_listeners(server);
	mutex_unlock(&server->lock);
	xa_lock(&server->conns);
	xa_for_each(&server->conns, id, conn)
		kbr_conn_kick(conn);
	xa_unlock(&server->conns);
	wait_event_timeout(server->gone,
			   !atomic_read(&server->conns_count) || READ_ONCE(server->dead),
			   msecs_to_jiffies(KBR_SERVER_DRAIN_MS));
}

/* The broker forgets it: no look from netlink finds it any more. */
static void kbr_server_unpublish(struct kbr_broker *broker, struct kbr_server *server)
{
	spin_lock(&kbr_servers_lock);
	broker->server = ERR_PTR(-ESHUTDOWN);
	spin_unlock(&kbr_servers_lock);
	kbr_server_put(server);
}

/*
 * Drain: no listener can be added, nothing is accepted -> close sockets, each
 * work tears its connection down -> wait for them -> unpublish and put. It can
 * be found until then, since the namespace may end meanwhile. What may still
 * run afterwards: a look from netlink, which holds a reference and finds
 * nothing.
 */
static void kbr_server_stop(struct kbr_broker *broker, bool answer)
{
	struct kbr_server *server = kbr_server_retire(broker);
	struct kbr_listener *listener, *next;

	if (!server)
		return;
	if (answer)
		kbr_server_drain(server);
	mutex_lock(&server->lock);
	kbr_server_kill(server);
	mutex_unlock(&server->lock);
	wait_event(server->gone, !atomic_read(&server->conns_count));
	cancel_delayed_work_sync(&server->sweep);
	/* Waits for works that have just torn their connection down. */
	destroy_workqueue(server->wq);
	kbr_fetch_sessions_forget(broker);
	mutex_lock(&server->lock);
	list_for_each_entry_safe(listener, next, &server->listeners, node) {
		list_del(&listener->node);
		kbr_listener_put(listener);
	}
	server->listeners_count = 0;
	mutex_unlock(&server->lock);
	kbr_server_unpublish(broker, server);
	kbr_server_put(server);
}

static const struct kbr_server_ops kbr_server_own_ops = {
	.listener_add = kbr_server_listener_add,
	.listener_del = kbr_server_listener_del,
	.open = kbr_server_open,
	.abort = kbr_server_abort,
	.stop = kbr_server_stop,
	.listener_next = kbr_server_listener_next,
	.connection_next = kbr_server_connection_next,
	.connection_close = kbr_server_connection_close,
};

void __init kbr_server_init(void)
{
	kbr_server_register(&kbr_server_own_ops);
}
