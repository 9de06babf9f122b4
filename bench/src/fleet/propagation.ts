import { fork } from 'node:child_process';
import { on } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Effort } from '../effort.ts';
import { quantile } from '../quantile.ts';
import { type Instance, makeInstance, now, type Watch } from './instance.ts';

/** How long a change by one process takes to hold in all the others. */
export interface Propagation {
  readonly kind: Watch['kind'];
  readonly changes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Processes that watch; one more makes the changes. */
export const PROCESSES = 8;
const CHANGES = 40;

interface Member {
  watch(order: Watch): Promise<void>;
  /** When it acted upon what it watches. */
  seen(): Promise<number>;
  stop(): void;
}

/** Changes one thing after the other, each when all have seen the one before. */
export async function propagation(url: string, effort: Effort): Promise<readonly Propagation[]> {
  const own = makeInstance(url);
  const members = await Promise.all(Array.from({ length: PROCESSES }, () => startMember(url)));
  const changes = effort.amount(CHANGES);
  const found: Propagation[] = [];
  for (const kind of ['override', 'unblock', 'trip'] as const) {
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
  };
  if (kind === 'unblock') await limiter.block('fleet', name, { durationMs: 60_000 });
  await Promise.all(members.map((member) => member.watch({ kind, name, limit })));
  const startedAt = now();
  await act[kind]();
  const seen = await Promise.all(members.map((member) => member.seen()));
  return seen.map((at) => at - startedAt);
}

async function startMember(url: string): Promise<Member> {
  const program = fileURLToPath(new URL('fleet-process.ts', import.meta.url));
  const child = fork(program, [url], { execArgv: ['--conditions=@spillway/source', '--import', 'tsx'] });
  const messages = on(child, 'message');
  const next = async (): Promise<unknown> => {
    const { value } = await messages.next();
    return value[0];
  };
  await next();
  return {
    async watch(order) {
      child.send(order);
      await next();
    },
    seen: async () => Number(await next()),
    stop: () => child.disconnect(),
  };
}
