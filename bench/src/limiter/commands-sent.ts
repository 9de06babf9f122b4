import type { Redis } from 'ioredis';

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
