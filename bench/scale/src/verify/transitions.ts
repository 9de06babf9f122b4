import type { HeardState } from '../app/messages.ts';
import type { Check } from './check.ts';

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
