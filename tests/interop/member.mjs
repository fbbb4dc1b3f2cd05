// SPDX-License-Identifier: GPL-2.0-only
// A member of a consumer group with kafkajs, for members.py.
//	node member.mjs BOOTSTRAP PATH-OF-KAFKAJS TOPIC GROUP SESSION-TIMEOUT
import { createRequire } from 'node:module';
import { writeSync } from 'node:fs';
const require = createRequire(import.meta.url);
const [, , bootstrap, path, topic, group, session] = process.argv;
const { Kafka, logLevel } = require(path);

const kafka = new Kafka({ clientId: 'member', brokers: [bootstrap], logLevel: logLevel.NOTHING,
	retry: { retries: 100, initialRetryTime: 100, maxRetryTime: 1000 } });
const consumer = kafka.consumer({ groupId: group, sessionTimeout: Number(session), rebalanceTimeout: 30000,
	heartbeatInterval: Math.min(1000, session / 5), maxWaitTimeInMs: 200, metadataMaxAge: 5000 });
process.on('SIGTERM', async () => {
	await consumer.disconnect();
	process.exit(0);
});
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => writeSync(1, `+ ${(payload.memberAssignment[topic] ?? []).join(' ')}\n`));
await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({ autoCommitInterval: 300, eachMessage: async ({ partition, message }) =>
	writeSync(1, `r ${partition} ${message.offset}\n`) });
