// SPDX-License-Identifier: GPL-2.0-only
// kafkajs as a producer of numbered records to partition 0, until its standard
// input ends. Prints a line "NUMBER OFFSET" for each, offset -1 if it gave up.
//	node cluster_producer.mjs SERVERS TOPIC PATH-OF-KAFKAJS
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const [, , servers, topic, path] = process.argv;
const { Kafka, logLevel } = require(path);

const kafka = new Kafka({ clientId: 'chaos', brokers: servers.split(','), logLevel: logLevel.NOTHING,
	connectionTimeout: 1000, requestTimeout: 5000, retry: { retries: 10, maxRetryTime: 1000, initialRetryTime: 50 } });
let ended = false, producer = null;
process.stdin.on('end', () => { ended = true; }).resume();

async function send(number) {
	try {
		if (!producer) {
			producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
			await producer.connect();
		}
		const [told] = await producer.send({ topic, acks: -1, messages: [{ partition: 0, value: `${topic}-0:${number}` }] });
		return told.baseOffset;
	} catch {
		// Its sequence number would be used again for another record.
		producer?.disconnect().catch(() => {});
		producer = null;
		return -1;
	}
}

for (let number = 0; !ended; number++) {
	console.log(`${number} ${await send(number)}`);
	await new Promise(done => setTimeout(done, 20));
}
process.exit(0);
