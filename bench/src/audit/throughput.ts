import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { AuditEntry } from '@spillway/worker';
import { Queue } from 'bullmq';
import { median } from '../quantile.ts';
import { block, fillOutboxes } from './events.ts';
import type { Servers } from './servers.ts';

/** How fast events became rows. */
export interface Throughput {
  readonly name: string;
  readonly events: number;
  readonly eventsPerSecond: number;
  /** CPU of the worker's process, µs an event. */
  readonly workerMicros: number;
}

const ROUNDS = 3;
const OUTBOX_EVENTS = 200_000;
const JOB_EVENTS = 10_000;

type Round = Pick<Throughput, 'eventsPerSecond' | 'workerMicros'>;

/** Drains a backlog through one worker, and the same events as one BullMQ job each; rounds take turns. */
export async function throughput(servers: Servers): Promise<readonly Throughput[]> {
  const packed: Round[] = [];
  const single: Round[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    packed.push(await drainOutboxes(servers));
    single.push(await drainJobs(servers));
  }
  return [
    summary('Spillway: outbox, jobs of up to 500 events', OUTBOX_EVENTS, packed),
    summary('one BullMQ job an event', JOB_EVENTS, single),
  ];
}

function summary(name: string, events: number, rounds: readonly Round[]): Throughput {
  return {
    name,
    events,
    eventsPerSecond: median(rounds.map(({ eventsPerSecond }) => eventsPerSecond)),
    workerMicros: median(rounds.map(({ workerMicros }) => workerMicros)),
  };
}

async function drainOutboxes(servers: Servers): Promise<Round> {
  await servers.clear();
  await fillOutboxes(servers.redis, OUTBOX_EVENTS);
  return drain(servers, 'packed', OUTBOX_EVENTS);
}

/** The jobs are there before the clock starts, as the outbox' events are. */
async function drainJobs(servers: Servers): Promise<Round> {
  await servers.clear();
  const queue = new Queue('single', { connection: { url: servers.redisUrl, maxRetriesPerRequest: null } });
  const entries = Array.from({ length: JOB_EVENTS }, (_, index): AuditEntry => {
    const { shard, fields } = block(index + 1);
    return [shard, `${Date.now()}-${index}`, fields];
  });
  for (let start = 0; start < JOB_EVENTS; start += 1_000) {
    await queue.addBulk(entries.slice(start, start + 1_000).map((entry) => ({ name: 'event', data: { entry } })));
  }
  await queue.close();
  return drain(servers, 'single', JOB_EVENTS);
}

async function drain({ redisUrl, databaseUrl, pool }: Servers, way: string, events: number): Promise<Round> {
  const program = fileURLToPath(new URL('drain-process.ts', import.meta.url));
  const child = fork(program, [way, redisUrl, databaseUrl, String(events)], {
    // As the worker's start script has it: thousands of events are alive at any moment, and each scavenge copies them.
    execArgv: ['--max-semi-space-size=64', '--conditions=@spillway/source', '--import', 'tsx'],
  });
  await once(child, 'message');
  child.send('go');
  const [{ seconds, cpuMicros }] = await once(child, 'message');
  const { rows } = await pool.query<{ stored: number }>('SELECT count(*)::int AS stored FROM rate_limits_v2');
  if (rows[0]?.stored !== events) throw new Error(`${rows[0]?.stored} rows of ${events} events`);
  return { eventsPerSecond: events / seconds, workerMicros: cpuMicros / events };
}
