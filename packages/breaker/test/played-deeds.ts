import type { MachineConfig } from '../src/machine/record.ts';
import { type Action, type Reply, unknownView, type View } from '../src/machine/record.ts';
import type { Deed } from './deeds.ts';
import { baseConfig, runOf } from './machine.ts';
import type { StoreUnderTest } from './stores.ts';

const id = { preset: 'ai_provider', name: 'rünware: {x}/1' };
/** When they begin, in ms since 1970. */
const T0 = 1_800_000_000_000;

/** What deeds are played with. */
export const configs: readonly MachineConfig[] = [
  baseConfig,
  { ...baseConfig, quorum: 0.5, probes: 1, recordSuccesses: true },
  {
    ...baseConfig,
    quorum: 1,
    trip: { ...runOf(0), size: 5_000, staleMs: 5_000, minimumCalls: 6, failureRate: 0.5, slowRate: 0.8 },
  },
  {
    ...baseConfig,
    trip: { ...runOf(20), over: 'count', size: 20, staleMs: 60_000, minimumCalls: 6, failureRate: 0.5, slowRate: 2 },
  },
  {
    ...baseConfig,
    quorum: 1,
    trip: { ...runOf(0), over: 'count', size: 10, staleMs: 9_000, minimumCalls: 1, failureRate: 1, slowRate: 1 },
    decayMs: 3_000,
    probes: 3,
    maxExpiries: 2,
    recordSuccesses: true,
  },
];

/** Plays the deeds on a store and tells all that can be seen of it. */
export async function play(
  under: StoreUnderTest,
  config: MachineConfig,
  steps: readonly { instance: string; forgetful: number; random: number; deed: Deed }[],
): Promise<unknown[]> {
  const replies: unknown[] = [];
  const known = new Map<string, View>();
  const seqs = new Map<string, number>();
  let now = T0;
  let ends = { untilMs: 0, alertUntilMs: 0, retryAfterMs: 0 };
  await under.setNow(now);
  for (const [index, { instance, forgetful, random, deed: next }] of steps.entries()) {
    if (next.type === 'wait') {
      now += next.ms;
      await under.setNow(now);
      continue;
    }
    if (next.type === 'until') {
      now = Math.max(now, ends[next.end] + next.offMs);
      await under.setNow(now);
      continue;
    }
    if (next.type === 'clear') {
      await under.clear();
      continue;
    }
    const view = forgetful === 0 ? unknownView : (known.get(instance) ?? unknownView);
    const version = instance === 'c' && index % 7 === 0 ? 2 : 1;
    // Half of the newer version's processes bring other numbers, as in the midst of a deploy.
    const trips = version === 1 || index % 4 === 0;
    const numbers =
      version === 2 && index % 2 === 0 ? { ...config, trips, probes: 1, openMs: 300, maxOpenMs: 600 } : config;
    const execute = async (action: Action): Promise<Reply> =>
      under.store.execute(id, { instance, config: { ...numbers, version }, known: view, random, action });
    const reply = await execute(toAction(next, instance, view, seqs));
    if (next.type === 'report' && next.retry) replies.push(await execute(reportOf(next, seqs.get(instance) ?? 0)));
    known.set(instance, reply.view);
    const { untilMs, alertUntilMs, nowMs } = reply.view;
    ends = { untilMs, alertUntilMs, retryAfterMs: nowMs + reply.retryAfterMs };
    replies.push(reply);
  }
  replies.push(await under.events());
  return replies;
}

function toAction(
  next: Exclude<Deed, { type: 'wait' | 'until' | 'clear' }>,
  instance: string,
  { epoch }: View,
  seqs: Map<string, number>,
): Action {
  if (next.type === 'act') return next.action;
  if (next.type === 'settle') {
    return { type: 'settle', leaseId: `lease-${next.lease}`, epoch: next.old ? epoch - 1 : epoch, outcome: next.kind };
  }
  seqs.set(instance, (seqs.get(instance) ?? 0) + 1);
  return reportOf(next, seqs.get(instance) ?? 0);
}

function reportOf({ batch, lateMs }: Extract<Deed, { type: 'report' }>, seq: number): Action {
  return { type: 'report', seq, batch, ...(lateMs < 0 ? {} : { lateMs }) };
}
