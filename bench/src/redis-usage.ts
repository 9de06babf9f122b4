import { Redis } from 'ioredis';

/** What Redis did between two looks. */
export interface RedisCost {
  /** Commands from clients, those of scripts included and the looks themselves left out. */
  readonly commands: number;
  /** Those that clients sent: scripts count as one. */
  readonly sent: number;
  /** CPU, user and system, in µs. */
  readonly micros: number;
}

/** Runs `work` and tells what it made Redis do, by Redis' own INFO. */
export async function redisCost(url: string, work: () => Promise<unknown>): Promise<RedisCost> {
  const admin = new Redis(url);
  await admin.config('RESETSTAT');
  const before = await cpuSeconds(admin);
  await work();
  const seconds = (await cpuSeconds(admin)) - before;
  const stats = await admin.info('commandstats');
  admin.disconnect();
  const calls = [...stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)].map(([, command = '', times]) => ({
    command,
    times: Number(times),
  }));
  const own = new Set(['info', 'config|resetstat']);
  const total = (of: (command: string) => boolean): number =>
    calls.filter(({ command }) => of(command)).reduce((sum, { times }) => sum + times, 0);
  return {
    commands: total((command) => !own.has(command)),
    sent: total((command) => command === 'eval' || command === 'evalsha'),
    micros: seconds * 1e6,
  };
}

/** CPU that a server has used so far, user and system, in s. */
export async function cpuSeconds(redis: Pick<Redis, 'info'>): Promise<number> {
  const info = await redis.info('cpu');
  const read = (field: string): number => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(info)?.[1] ?? Number.NaN);
  return read('used_cpu_sys') + read('used_cpu_user');
}

/** What clients send for decisions and the memory in front of them; the commands within scripts are others. */
const SENT = ['evalsha', 'eval', 'publish', 'hget', 'hgetall'] as const;

/** How many such commands a server has had so far. */
export async function commandsSent(admin: Pick<Redis, 'info'>): Promise<number> {
  const stats = await admin.info('commandstats');
  return SENT.reduce(
    (sum, name) => sum + Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0),
    0,
  );
}
