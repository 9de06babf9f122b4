import { type Effort, quantile } from '../section.ts';
import { type Instance, makeInstance, type Member, now, startMembers, type Watch } from './members.ts';

/** How long a change by one process takes to hold in all the others. */
export interface Propagation {
  readonly kind: Watch['kind'];
  readonly changes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const CHANGES = 40;
const KINDS = ['override', 'unblock', 'trip', 'force open', 'force closed', 'reset'] as const;
const WHO = { who: 'bench' };

/** Changes one thing after the other, each when all have seen the one before. */
export async function propagation(url: string, effort: Effort): Promise<readonly Propagation[]> {
  const own = makeInstance(url);
  const members = await startMembers(url);
  const changes = effort.amount(CHANGES);
  const found: Propagation[] = [];
  for (const kind of KINDS) {
    const delays: number[] = [];
    for (let change = 0; change < changes; change += 1) delays.push(...(await changeOnce(own, members, kind, change)));
    const [p50Ms, p99Ms, maxMs] = [0.5, 0.99, 1].map((share) => quantile(delays, share));
    found.push({ kind, changes, p50Ms: p50Ms ?? Number.NaN, p99Ms: p99Ms ?? Number.NaN, maxMs: maxMs ?? Number.NaN });
  }
  for (const member of members) member.stop();
  await own.close();
  return found;
}

/** @returns ms from the call that makes the change until each member acts upon it. */
async function changeOnce(
  { limiter, breakers }: Instance,
  members: readonly Member[],
  kind: Watch['kind'],
  change: number,
): Promise<readonly number[]> {
  const name = `${kind}-${change}`;
  const limit = 2_000 + change;
  const act = {
    override: () => limiter.live.setOverride({ policy: 'fleet', subject: name, limit }),
    unblock: () => limiter.unblock('fleet', name),
    trip: () => breakers.run(name, 'fleet', () => Promise.reject(new Error('down'))).catch(() => undefined),
    'force open': () => breakers.get(name, 'fleet').forceOpen(WHO),
    'force closed': () => breakers.get(name, 'fleet').forceClosed(WHO),
    reset: () => breakers.get(name, 'fleet').reset(WHO),
  };
  if (kind === 'reset') await breakers.get(name, 'fleet').forceOpen(WHO);
  if (kind === 'unblock') await limiter.block('fleet', name, { durationMs: 60_000 });
  await Promise.all(members.map((member) => member.watch({ kind, name, limit })));
  const startedAt = now();
  await act[kind]();
  const seen = await Promise.all(members.map((member) => member.seen()));
  return seen.map((at) => at - startedAt);
}
