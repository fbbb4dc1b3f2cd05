// SPDX-License-Identifier: GPL-2.0-only
// kafkajs: producer and admin. Its consumer works in groups only.
//	node kafkajs.mjs BOOTSTRAP PATH-OF-KAFKAJS
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const [, , bootstrap, path] = process.argv;
const { Kafka, CompressionTypes, ConfigResourceTypes, Partitioners, logLevel } = require(path);

let count = 0, failed = 0;
const say = (good, name) => {
	console.log(`${good ? 'ok' : 'not ok'} ${++count} - ${name}`);
	failed += !good;
};
const equal = (name, got, wanted) => {
	const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
	say(a === b, name);
	if (a !== b)
		console.log(`#   wanted ${b}\n#   got    ${a}`);
};
const fails = async (name, type, call) => {
	try {
		const got = await call();
		say(false, name);
		console.log(`#   succeeded: ${JSON.stringify(got)}`);
	} catch (error) {
		const found = error.type ?? error.errors?.[0]?.type;
		if (type)
			equal(name, found, type);
		else
			say(true, name);
	}
};

const kafka = new Kafka({ clientId: 'interop', brokers: [bootstrap], logLevel: logLevel.NOTHING,
	retry: { retries: 3 }, requestTimeout: 60000 });
const admin = kafka.admin();
// What was just created may take a broker a moment.
const eventually = async call => {
	for (let tries = 100; ; tries--) {
		try {
			return await call();
		} catch (error) {
			if (!tries)
				throw error;
			await new Promise(done => setTimeout(done, 100));
		}
	}
};
const topic = `js-${process.pid}`;

async function main() {
	await admin.connect();
	equal('create', await admin.createTopics({ waitForLeaders: true, topics: [
		{ topic, numPartitions: 3, configEntries: [{ name: 'retention.ms', value: '7200000' }] }] }), true);
	equal('it exists already', await admin.createTopics({ topics: [{ topic }] }), false);
	await fails('a bad name', 'INVALID_TOPIC_EXCEPTION', () => admin.createTopics({ topics: [{ topic: 'a b' }] }));
	say((await admin.listTopics()).includes(topic), 'list');
	const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
	equal('metadata', topics[0].partitions.map(p => [p.partitionErrorCode, p.isr.length]), [[0, 1], [0, 1], [0, 1]]);

	for (const idempotent of [false, true]) {
		const name = idempotent ? 'an idempotent producer' : 'a producer';
		const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent,
			maxInFlightRequests: idempotent ? 1 : null });
		await producer.connect();
		const partition = idempotent ? 1 : 0;
		for (const [i, compression] of [CompressionTypes.None, CompressionTypes.GZIP].entries()) {
			const answer = await producer.send({ topic, acks: -1, compression, messages: Array.from({ length: 20 }, (_, n) =>
				({ partition, key: `k${n}`, value: `v${n}`, headers: { h: 'x' }, timestamp: `${1700000000000 + 20 * i + n}` })) });
			equal(`${name}: offsets`, [answer[0].errorCode, Number(answer[0].baseOffset)], [0, 20 * i]);
		}
		await producer.disconnect();
	}
	const offsets = await admin.fetchTopicOffsets(topic);
	equal('offsets', offsets.sort((a, b) => a.partition - b.partition).map(o => [o.partition, o.low, o.high]),
		[[0, '0', '40'], [1, '0', '40'], [2, '0', '0']]);
	const times = await admin.fetchTopicOffsetsByTimestamp(topic, 1700000000025);
	equal('offsets by time', times.find(t => t.partition === 0).offset, '25');

	const config = async name => {
		const { resources } = await admin.describeConfigs({ includeSynonyms: true,
			resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: [name] }] });
		return resources[0].configEntries[0];
	};
	equal('describe configs', (await config('retention.ms')).configValue, '7200000');
	await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic,
		configEntries: [{ name: 'retention.bytes', value: '1000000' }] }] });
	equal('alter configs', (await config('retention.bytes')).configValue, '1000000');
	await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
	equal('create partitions', (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length, 5);
	await fails('fewer are refused', 'INVALID_PARTITIONS', () => admin.createPartitions({ topicPartitions: [{ topic, count: 1 }] }));
	await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '10' }] });
	equal('delete records', (await eventually(() => admin.fetchTopicOffsets(topic))).find(o => o.partition === 0).low, '10');
	await fails('not beyond the end', null,
		() => admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '1000' }] }));
	await admin.deleteTopics({ topics: [topic] });
	say(!(await admin.listTopics()).includes(topic), 'delete');
	await admin.disconnect();
}

main().catch(error => {
	say(false, `the test ran to its end (${error.stack})`);
}).finally(() => {
	console.log(`1..${count}`);
	process.exit(failed ? 1 : 0);
});
