import { expect, it } from 'vitest';
import { baseConfig, failures, probe, runOf, successes } from '../../test/machine.ts';
import { unknownView, type Action, type BreakerRecord, type MachineState, type View } from './record.ts';
import type { MachineConfig } from './record.ts';
import { step } from './step.ts';

/*
 * An explicit-state search: from nothing, every action that two instances, a person and fate can take is tried in every
 * state that is reached, breadth first. Time moves in ticks. States that differ only in when they happen are one.
 */
const TICK_MS = 5_000;

const config = {
  ...baseConfig,
  trip: runOf(2, 2 * TICK_MS),
  openMs: TICK_MS,
  maxOpenMs: TICK_MS,
  decayMs: TICK_MS,
  leaseMs: TICK_MS,
  probes: 1,
  maxExpiries: 2,
  recordFailures: false,
};

/** What a deploy may change the config into, and back: the last that speaks holds. */
const configs: readonly MachineConfig[] = [
  config,
  { ...config, probes: 2, trip: runOf(1, TICK_MS), openMs: 2 * TICK_MS, maxOpenMs: 2 * TICK_MS, leaseMs: 2 * TICK_MS },
];
const MOST_PROBES = 2;

/** A plain throw: `expect` would take most of the time of so many checks. */
function must(holds: boolean, message: string): void {
  if (!holds) throw new Error(message);
}

const INSTANCES = ['a', 'b'] as const;
const FIRST_MS = 1_800_000_000_000;

/** The store, what each instance believes of it, and the leases that they think they hold. */
interface World {
  readonly now: number;
  /** Which of the configs the instances bring. */
  readonly deployed: number;
  readonly record: BreakerRecord | undefined;
  readonly known: Readonly<Record<string, View>>;
  readonly held: readonly { readonly instance: string; readonly leaseId: string; readonly epoch: number }[];
}

interface Move {
  readonly name: string;
  readonly next: World;
  readonly byHand: boolean;
}

const start: World = {
  now: FIRST_MS,
  deployed: 0,
  record: undefined,
  known: { a: unknownView, b: unknownView },
  held: [],
};

function act(world: World, instance: string, action: Action): World {
  const known = world.known[instance] ?? unknownView;
  const command = { instance, config: configs[world.deployed] ?? config, known, random: 0, action };
  const { record, reply } = step(world.record, command, world.now);
  if (action.type === 'report') {
    const again = step(record, { ...command, known: reply.view }, world.now);
    must(JSON.stringify(again.record) === JSON.stringify(record), 'a report merged twice');
  }
  if (action.type === 'settle' && action.epoch !== (world.record?.epoch ?? -1)) {
    must(reply.verdict === 'expired', 'a stale epoch settled something');
  }
  const held = action.type === 'settle' ? world.held.filter(({ leaseId }) => leaseId !== action.leaseId) : world.held;
  const more =
    reply.verdict === 'granted' && action.type === 'acquire'
      ? [{ instance, leaseId: action.leaseId, epoch: reply.view.epoch }]
      : [];
  return { ...world, record, known: { ...world.known, [instance]: reply.view }, held: [...held, ...more] };
}

function moves(world: World): Move[] {
  const found: Move[] = [];
  const add = (name: string, next: World, byHand = false): void => void found.push({ name, next, byHand });
  for (const instance of INSTANCES) {
    const lease = `${instance}1`;
    add(`${instance} fails`, act(world, instance, { type: 'report', seq: 2, batch: failures(1) }));
    add(`${instance} succeeds`, act(world, instance, { type: 'report', seq: 2, batch: successes(1) }));
    add(`${instance} reads`, act(world, instance, { type: 'read' }));
    add(`${instance} is sick`, act(world, instance, { type: 'read', sick: true }));
    if (!world.held.some((one) => one.instance === instance)) {
      add(`${instance} acquires`, act(world, instance, { type: 'acquire', leaseId: lease }));
    }
  }
  for (const { instance, leaseId, epoch } of world.held) {
    for (const kind of ['success', 'failure', 'neutral'] as const) {
      const outcome = probe(kind);
      add(`${instance} settles ${kind}`, act(world, instance, { type: 'settle', leaseId, epoch, outcome }));
    }
    add(`${instance} dies`, {
      ...world,
      held: world.held.filter((one) => one.leaseId !== leaseId),
      known: { ...world.known, [instance]: unknownView },
    });
  }
  add('tick', { ...world, now: world.now + TICK_MS });
  add('flush', { ...world, record: undefined });
  add('deploy', { ...world, deployed: 1 - world.deployed });
  const forced = { type: 'force', target: 'forced_open', forMs: TICK_MS, who: 'w', why: 'y' } as const;
  add('forced open', act(world, 'a', forced), true);
  add('reset', act(world, 'b', { type: 'reset', who: 'w', why: 'y' }), true);
  return found;
}

/** The world moved back to the beginning of time, without what no longer matters. */
function normalized({ now, deployed, record, known, held }: World): World {
  const epochs = [record?.epoch, ...Object.values(known).map(({ epoch }) => epoch), ...held.map(({ epoch }) => epoch)];
  const past = [...new Set(epochs.filter((epoch) => epoch !== undefined && epoch > 0 && epoch < now))].toSorted(
    (one, other) => Number(other) - Number(one),
  );
  const shift = FIRST_MS - now;
  const time = (ms: number): number => (ms === 0 ? 0 : Math.max(ms + shift, FIRST_MS - 3 * TICK_MS));
  const epochOf = (epoch: number): number =>
    epoch === 0 ? 0 : epoch < now ? FIRST_MS - 1 - past.indexOf(epoch) : epoch + shift;
  const viewOf = (view: View): View => ({
    ...view,
    epoch: epochOf(view.epoch),
    sinceMs: 0,
    openings: 0,
    untilMs: time(view.untilMs),
    alertUntilMs: 0,
    nowMs: 0,
  });
  const stateOf = (state: MachineState): MachineState => {
    const at = { ...state, sinceMs: FIRST_MS };
    if (at.kind === 'closed') {
      const { run, runAtMs, runBy } = at.window;
      const by = Object.fromEntries(Object.keys(runBy).map((name) => [name, FIRST_MS]));
      const sick = { sickSinceMs: time(at.sickSinceMs), sickAtMs: time(at.sickAtMs) };
      return {
        ...at,
        ...sick,
        openings: 0,
        window: { ...at.window, run: Math.min(run, 2), runAtMs: time(runAtMs), runBy: by },
      };
    }
    if (at.kind === 'half_open') {
      const leases = at.leases.map(({ id, expiresAtMs }) => ({ id, expiresAtMs: time(expiresAtMs) }));
      return { ...at, openings: 1, leases };
    }
    return at.kind === 'open'
      ? { ...at, openings: 1, untilMs: time(at.untilMs) }
      : { ...at, untilMs: time(at.untilMs) };
  };
  const instances = Object.entries(record?.instances ?? {})
    .map(([name, { calledAtMs }]) => [name, { seq: 1, calledAtMs: time(calledAtMs) }] as const)
    .toSorted(([one], [other]) => one.localeCompare(other));
  return {
    now: FIRST_MS,
    deployed,
    known: Object.fromEntries(INSTANCES.map((name) => [name, viewOf(known[name] ?? unknownView)])),
    held: held.map((one) => ({ ...one, epoch: epochOf(one.epoch) })),
    record:
      record === undefined
        ? undefined
        : {
            ...record,
            epoch: epochOf(record.epoch),
            alertUntilMs: 0,
            state: stateOf(record.state),
            instances: Object.fromEntries(instances),
          },
  };
}

const LEGAL: Readonly<Record<string, readonly string[]>> = {
  closed: ['open'],
  open: ['half_open'],
  half_open: ['open', 'closed'],
  forced_open: ['closed', 'open'],
};

/** What holds of every move, and of every state that it leads to. */
function check(before: World, { name, next, byHand }: Move): void {
  const [from, to] = [before.record, next.record];
  if (to === undefined) return;
  must(to.state.kind !== 'half_open' || to.state.leases.length <= MOST_PROBES, `${name}: too many leases`);
  if (from === undefined) return;
  const moved = from.state.kind !== to.state.kind;
  must(
    moved ? to.epoch > from.epoch : to.epoch >= from.epoch,
    `${name}: the epoch went from ${from.epoch} to ${to.epoch}`,
  );
  const restored = Object.values(before.known).some(({ epoch }) => epoch > from.epoch) || from.seeded;
  if (byHand || restored || !moved) return;
  must((LEGAL[from.state.kind] ?? []).includes(to.state.kind), `${name}: ${from.state.kind} to ${to.state.kind}`);
}

/** With a healthy dependency and one instance that calls, calls flow again. */
function recovers(world: World): boolean {
  let now = world;
  for (let round = 0; round < 6; round += 1) {
    const leaseId = `recovery${round}`;
    now = act({ ...now, held: [] }, 'a', { type: 'acquire', leaseId });
    const epoch = now.record?.epoch ?? 0;
    if (now.held.length > 0) now = act(now, 'a', { type: 'settle', leaseId, epoch, outcome: probe('success') });
    if (now.record?.state.kind === 'closed') return true;
    now = { ...now, now: now.now + TICK_MS };
  }
  return false;
}

/** With a dependency that fails the only instance that calls, whose own breaker refuses its calls, the fleet opens. */
function opensAlone(world: World): boolean {
  let now = act(world, 'b', { type: 'read' });
  if (now.record?.state.kind !== 'closed') return true;
  for (let round = 0; round < 4; round += 1) {
    now = act(now, 'b', { type: 'read', sick: true });
    if (now.record?.state.kind === 'open') return true;
    now = { ...now, now: now.now + TICK_MS };
  }
  return false;
}

it('keeps every invariant in every state that two instances can bring about', () => {
  const seen = new Set<string>();
  let frontier = [start];
  let depth = 0;
  const kinds = new Set<string>();
  while (frontier.length > 0 && seen.size < 20_000) {
    const reached: World[] = [];
    for (const world of frontier) {
      for (const move of moves(world)) {
        check(world, move);
        const next = normalized(move.next);
        const id = JSON.stringify(next);
        if (seen.has(id)) continue;
        seen.add(id);
        kinds.add(next.record?.state.kind ?? 'none');
        must(recovers(next), `stuck after "${move.name}": ${id}`);
        must(opensAlone(next), `never opens for a sole caller after "${move.name}": ${id}`);
        reached.push(next);
      }
    }
    frontier = reached;
    depth += 1;
  }
  expect([...kinds].toSorted()).toEqual(['closed', 'forced_open', 'half_open', 'none', 'open']);
  expect(depth).toBeGreaterThan(5);
  expect(seen.size).toBeGreaterThan(2_000);
}, 120_000);
