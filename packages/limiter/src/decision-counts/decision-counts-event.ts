import { type OutboxEvent, outboxEventId } from '@spillway/redis';

/** How many decisions of one policy fell one way in one process, as one outbox event tells it. */
export interface DecisionCountsEvent {
  /** The event's id, the same at every delivery. */
  readonly id: string;
  readonly policy: string;
  /** Why they fell so: a `DecisionReason`. */
  readonly outcome: string;
  readonly count: number;
  /** Over how many ms they were counted; they ended at `atMs`. */
  readonly overMs: number;
  /** Ms since 1970 by Redis' clock. */
  readonly atMs: number;
}

/** An event of type `decisions` that doesn't say what such an event says. */
export class MalformedDecisionCountsEventError extends Error {
  readonly code = 'malformed_decision_counts_event';
  override readonly name = 'MalformedDecisionCountsEventError';
  readonly field: string;

  constructor(field: string, value: string | undefined) {
    super(`decisions event: field "${field}" is ${value === undefined ? 'missing' : JSON.stringify(value)}`);
    this.field = field;
  }
}

/** Reads an event of type `decisions`. @throws {MalformedDecisionCountsEventError} */
export function parseDecisionCountsEvent(event: OutboxEvent): DecisionCountsEvent {
  const read = (field: string, pattern: RegExp): string => {
    const value = event.fields[field];
    if (value === undefined || !pattern.test(value)) throw new MalformedDecisionCountsEventError(field, value);
    return value;
  };
  return {
    id: outboxEventId(event),
    policy: read('policy', /^[a-z0-9_-]{1,64}$/),
    outcome: read('outcome', /^[a-z_]{1,32}$/),
    count: Number(read('count', /^\d{1,15}$/)),
    overMs: Number(read('over', /^\d{1,15}$/)),
    atMs: event.atMs,
  };
}
