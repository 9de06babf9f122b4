import { setTimeout as delay } from 'node:timers/promises';
import { createPool, type Queryable } from '@spillway/db';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { release } from '../../src/sink/drain-outboxes.ts';
import { startWorker } from '../../src/start-worker.ts';
import { drain } from '../../src/recovery/drain.ts';

/**
 * A worker's process that ends itself with SIGKILL at a point that a kill from outside would seldom hit. Arguments:
 * Redis' URL, Postgres' URL, shards, how long its jobs are locked in ms, the point ('none' to live), and how often it is passed
 * before, and 'drain' for passes of `drain` instead of a worker.
 */
const [redis = '', database = '', shards = '', lockMs = '', point = 'none', passes = '0', work = 'worker'] =
  process.argv.slice(2);
let left = Number(passes);

/** Ends the process when it is at its point often enough. */
function pass(here: string): void {
  if (here !== point) return;
  left -= 1;
  if (left < 0) process.kill(process.pid, 'SIGKILL');
}

const notePage = (reply: unknown): void => {
  if (Array.isArray(reply) && reply.length > 0) pass('after-read');
};
const { sendCommand } = Redis.prototype;
Redis.prototype.sendCommand = function sendThenPass(...args) {
  const [{ name, promise }] = args;
  if (name === 'XRANGE') promise.then(notePage, () => {});
  return sendCommand.apply(this, args);
};

const { run } = release;
Object.assign(release, {
  run: async (...args: Parameters<typeof run>) => {
    pass('before-release');
    const released = await run(...args);
    pass('after-release');
    return released;
  },
});

const pool = createPool({ connectionString: database, onError: () => {} });
const watched: Queryable = {
  async query(statement, values) {
    const text = typeof statement === 'string' ? statement : statement.text;
    const insert = text.includes('upsert_blocks') || text.includes('"spillway"."changes"');
    const result = pool.query(statement, values);
    // Sent in this turn of the event loop, and certainly not answered in the next.
    if (insert) setImmediate(() => pass('mid-insert'));
    const answer = await result;
    if (insert) pass('after-commit');
    return answer;
  },
};

if (work === 'drain') {
  const options = { redis, pool: watched, shards: Number(shards), blockRowsPerMinute: null };
  // As a cron job does: a pass that failed, for a server was away, is followed by another one.
  for (;;) await drain(options).then(undefined, async () => delay(100));
}
startWorker({
  redis,
  pool: watched,
  shards: Number(shards),
  logger: pino({ level: 'silent' }),
  sink: { lockMs: Number(lockMs), blockRowsPerMinute: null },
});
