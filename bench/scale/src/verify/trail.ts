import { createHash } from 'node:crypto';
import type { BlockReport } from '../load/ledger.ts';
import { apiKeyOf, kinds } from '../plan.ts';
import type { HeardState } from '../processes/fleet.ts';
import type { Sample } from '../sampler.ts';
import type { Check } from './capacity.ts';

/** A row of `rate_limits_v2`. */
export interface StoredBlock {
  readonly tier: string;
  readonly action: string;
  readonly identifier: string;
  readonly createdAtMs: number;
}

/**
 * Compares the blocks that users saw begin with the rows. A block that surely began between a request and its answer has
 * exactly one row, made between the two; one that may have begun there has one or none; and no row is without a block.
 */
export function checkBlocks(seen: readonly BlockReport[], stored: readonly StoredBlock[]): Check {
  const rows = groupBy(stored, ({ tier, action, identifier }) => keyOf(tier, action, identifier));
  const blocks = groupBy(seen, ({ user, kind }) => {
    const { tier, action } = kinds[kind];
    return keyOf(tier, action, subjectOf(user));
  });
  const missing: string[] = [];
  const twice: string[] = [];
  const unknown: string[] = [];
  for (const key of new Set([...rows.keys(), ...blocks.keys()])) {
    const left = new Set(rows.get(key));
    // The sure ones choose first: an unsure one may overlap them.
    const ordered = (blocks.get(key) ?? []).toSorted((one, other) => Number(other.sure) - Number(one.sure));
    for (const { sentMs, receivedMs, sure } of ordered) {
      const inside = [...left].filter(({ createdAtMs }) => createdAtMs >= sentMs && createdAtMs <= receivedMs);
      if (sure && inside.length === 0) missing.push(`${key} between ${sentMs} and ${receivedMs}`);
      if (inside.length > 1) twice.push(`${key} at ${inside.map(({ createdAtMs }) => createdAtMs).join(', ')}`);
      for (const row of inside) left.delete(row);
    }
    for (const { createdAtMs } of left) unknown.push(`${key} at ${createdAtMs}`);
  }
  const sure = seen.filter((block) => block.sure).length;
  const problems = [
    ...missing.map((text) => `no row: ${text}`),
    ...twice.map((text) => `several rows: ${text}`),
    ...unknown.map((text) => `nobody saw it: ${text}`),
  ];
  return {
    name: 'Every block is in Postgres exactly once',
    promised: `${sure} blocks that users saw begin`,
    found: `${stored.length} rows; ${missing.length} missing, ${twice.length} double, ${unknown.length} that nobody saw`,
    passed: problems.length === 0,
    details: problems.slice(0, 20),
  };
}

/** The subject of an API key, computed independently of the limiter. */
export function subjectOf(user: number): string {
  return `api_key:${createHash('sha256').update(apiKeyOf(user)).digest('hex').slice(0, 32)}`;
}

function keyOf(tier: string, action: string, identifier: string): string {
  return `${tier} ${action} ${identifier}`;
}

function groupBy<Item>(items: readonly Item[], keyOfItem: (item: Item) => string): ReadonlyMap<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOfItem(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

/** A transition in `circuit_breaker_events`. */
export interface StoredTransition {
  readonly eventType: string;
  readonly epoch: number;
}

/** What is compared. */
export interface TransitionsOptions {
  /** By the processes, after each transition; several hear of the same one. */
  readonly heard: readonly HeardState[];
  readonly stored: readonly StoredTransition[];
  /** The latest that any process knows at the end. */
  readonly last: HeardState;
}

/** What may follow upon what; a breaker begins closed. */
const successors: Readonly<Record<string, readonly string[]>> = {
  closed: ['opened'],
  opened: ['half_open'],
  half_open: ['opened', 'closed'],
};

/**
 * Whether the trail of the breaker is the whole one: in the order of their epochs the rows are a walk through the breaker's
 * states, from closed to closed and through all of them, without one that appears twice or left out; every state that a
 * process heard of has its row; and none came after the last row, by the epoch that the processes know.
 */
export function checkTransitions({ heard, stored, last }: TransitionsOptions): Check {
  const rows = stored.toSorted((one, other) => one.epoch - other.epoch);
  const known = new Map(heard.map(({ epoch, state }) => [epoch, typeOf(state)]));
  const problems = [
    ...Object.keys(successors).flatMap((type) =>
      rows.some(({ eventType }) => eventType === type) ? [] : [`it was never ${type}`],
    ),
    ...rows.flatMap(({ eventType, epoch }, index) => {
      const before = rows[index - 1];
      const isLegal = successors[before?.eventType ?? 'closed']?.includes(eventType) === true;
      return isLegal && epoch !== before?.epoch ? [] : [`${eventType} after ${before?.eventType ?? 'the beginning'}`];
    }),
    ...[...known].flatMap(([epoch, type]) =>
      rows.some((row) => row.epoch === epoch && row.eventType === type) ? [] : [`no row: ${type} in epoch ${epoch}`],
    ),
    ...(last.state === 'closed' ? [] : [`the breaker is ${last.state} at the end`]),
    ...(rows.at(-1)?.epoch === last.epoch ? [] : [`the last row has epoch ${rows.at(-1)?.epoch}, Redis ${last.epoch}`]),
  ];
  return {
    name: 'Every transition of the breaker is in Postgres exactly once, and it opened, half-opened and closed',
    promised: `${known.size} transitions that processes heard of`,
    found: `${rows.length} rows: ${rows.map(({ eventType }) => eventType).join(', ')}`,
    passed: problems.length === 0,
    details: problems,
  };
}

/** An event is named for what happened, a state for what is. */
function typeOf(state: string): string {
  return state === 'open' ? 'opened' : state;
}

/** The worker's own objective (`SPILLWAY_READY_MAX_LAG_MS`): with an older event it isn't ready. */
const OBJECTIVE_MS = 60_000;

/** Whether events ever waited for a worker longer than workers themselves find right. */
export function checkFlushLag(samples: readonly Sample[]): Check {
  const highest = Math.max(0, ...samples.map(({ flushLagMs }) => flushLagMs));
  return {
    name: 'A worker took every audit event within the lag objective, also after the kill',
    promised: `${OBJECTIVE_MS / 1_000} s`,
    found: `${Math.round(highest)} ms at most`,
    passed: highest <= OBJECTIVE_MS,
  };
}
