import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { AuditEntry } from '@spillway/worker';
import { Queue } from 'bullmq';
import { built } from '../built.ts';
import { type Effort, median } from '../section.ts';
import { block, fillOutboxes, type Servers } from './servers.ts';

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

/** Drains a backlog through one worker, as one BullMQ job an event, and as bare inserts; rounds take turns. */
export async function throughput(servers: Servers, effort: Effort): Promise<readonly Throughput[]> {
  const packed: Round[] = [];
  const single: Round[] = [];
  const bare: Round[] = [];
  const [events, jobs] = [effort.amount(OUTBOX_EVENTS), effort.amount(JOB_EVENTS)];
  for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
    packed.push(await drainOutboxes(servers, events));
    single.push(await drainJobs(servers, jobs));
    bare.push(await insertAlone(servers, events));
  }
  return [
    summary('Spillway: outbox to rows, up to 2,000 events together', events, packed),
    summary('one BullMQ job an event', jobs, single),
    summary('bare `INSERT … unnest` of 500 rows, no Redis', events, bare),
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

async function drainOutboxes(servers: Servers, events: number): Promise<Round> {
  await servers.clear();
  await fillOutboxes(servers.redis, events);
  return drain(servers, 'packed', events);
}

async function insertAlone(servers: Servers, events: number): Promise<Round> {
  await servers.clear();
  return drain(servers, 'bare', events);
}

/** The jobs are there before the clock starts, as the outbox' events are. */
async function drainJobs(servers: Servers, events: number): Promise<Round> {
  await servers.clear();
  const queue = new Queue('single', { connection: { url: servers.redisUrl, maxRetriesPerRequest: null } });
  const entries = Array.from({ length: events }, (_, index): AuditEntry => {
    const { shard, fields } = block(index + 1);
    return [shard, `${Date.now()}-${index}`, fields];
  });
  for (let start = 0; start < events; start += 1_000) {
    await queue.addBulk(entries.slice(start, start + 1_000).map((entry) => ({ name: 'event', data: { entry } })));
  }
  await queue.close();
  return drain(servers, 'single', events);
}

async function drain({ redisUrl, databaseUrl, pool }: Servers, way: string, events: number): Promise<Round> {
  const program = built('audit/drain-process.js');
  const child = fork(program, [way, redisUrl, databaseUrl, String(events)], {
    // As the worker's start script has it: thousands of events are alive at any moment, and each scavenge copies them.
    execArgv: ['--max-semi-space-size=64'],
  });
  await once(child, 'message');
  child.send('go');
  const [{ seconds, cpuMicros }] = await once(child, 'message');
  const { rows } = await pool.query<{ stored: number }>('SELECT count(*)::int AS stored FROM rate_limits_v2');
  if (rows[0]?.stored !== events) throw new Error(`${rows[0]?.stored} rows of ${events} events`);
  return { eventsPerSecond: events / seconds, workerMicros: cpuMicros / events };
}
