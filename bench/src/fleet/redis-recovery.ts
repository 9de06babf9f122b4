import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type RedisServer, startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { type Effort, quantile } from '../section.ts';
import { type Instance, makeInstance, type Member, now, startMembers } from './members.ts';

/** How long after Redis' return all processes of a fleet agree again. */
export interface RedisRecovery {
  /** What Redis still knows when it is back: nothing, or how things stood before the last changes. */
  readonly kind: 'emptied' | 'older';
  readonly outages: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const OUTAGES = 4;
/** Long enough for the clients' attempts to connect to have become as rare as they get. */
const OUTAGE_MS = 12_000;
const SETTLING_MS = 4_000;
const WHO = { who: 'bench' };
/** One breaker stays closed, one trips, one is forced open. */
const STATES = [
  ['well', 'closed'],
  ['down', 'open'],
  ['stopped', 'forced_open'],
] as const;
const names = STATES.map(([name]) => name);

/** Kills Redis time and again under a fleet of which one breaker is closed, one open and one forced open. */
export async function redisRecoveries(effort: Effort): Promise<readonly RedisRecovery[]> {
  return [await comeback('emptied', effort.rounds(OUTAGES)), await comeback('older', effort.rounds(OUTAGES))];
}

async function comeback(kind: RedisRecovery['kind'], outages: number): Promise<RedisRecovery> {
  const dataDir = await mkdtemp(join(tmpdir(), 'bench-fleet-'));
  const server = await startRedis({ dataDir, args: ['--save', ''] });
  const [own, members] = [makeInstance(server.url), await startMembers(server.url)];
  try {
    await prepare(own, members, server, kind);
    const delays: number[] = [];
    for (let outage = 0; outage < outages; outage += 1) delays.push(...(await outlive(server, members)));
    const [p50Ms, p99Ms, maxMs] = [quantile(delays, 0.5), quantile(delays, 0.99), quantile(delays, 1)];
    return { kind, outages, p50Ms, p99Ms, maxMs };
  } finally {
    for (const member of members) member.stop();
    await own.close();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Brings the breakers to their states. What Redis shall come back with is saved before it. */
async function prepare(
  { breakers }: Instance,
  members: readonly Member[],
  { url }: RedisServer,
  kind: RedisRecovery['kind'],
): Promise<void> {
  for (const name of names) await breakers.run(name, 'fleet', async () => undefined);
  for (const member of members) await member.follow(names);
  await pause(1_500);
  if (kind === 'older') {
    const admin = new Redis(url);
    await admin.save();
    admin.disconnect();
  }
  await breakers.run('down', 'fleet', () => Promise.reject(new Error('down'))).catch(() => undefined);
  await breakers.get('stopped', 'fleet').forceOpen(WHO);
  await pause(SETTLING_MS);
  await agreed(members);
}

/** @returns ms from Redis' first answer until each member stood as all did in the end, at once. */
async function outlive(server: RedisServer, members: readonly Member[]): Promise<readonly number[]> {
  await server.kill();
  await pause(OUTAGE_MS);
  const [backAt] = await Promise.all([firstAnswer(server.url), server.restart()]);
  await pause(SETTLING_MS);
  const standings = await agreed(members);
  return standings.map(({ changedAt }) => Math.max(0, changedAt - backAt));
}

async function firstAnswer(url: string): Promise<number> {
  const redis = new Redis(url, { retryStrategy: () => 2, maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  await redis.ping();
  redis.disconnect();
  return now();
}

/** How all stand. @throws when they don't agree, or when an older state has come back */
async function agreed(members: readonly Member[]): Promise<readonly Awaited<ReturnType<Member['standing']>>[]> {
  const standings = await Promise.all(members.map((member) => member.standing()));
  const texts = [...new Set(standings.map(({ text }) => text))];
  const expected = STATES.every(([name, state]) => texts[0]?.includes(`${name} ${state} since`));
  if (texts.length !== 1 || !expected || texts[0]?.includes('alone')) {
    throw new Error(`the fleet stands apart, or as it did before: ${texts.join(' | ')}`);
  }
  return standings;
}
