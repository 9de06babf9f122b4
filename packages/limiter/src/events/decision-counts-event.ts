import { eventFields, type OutboxEvent, outboxEventId } from '@spillway/redis';

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

/** Reads an event of type `decisions`. @throws {MalformedEventError} of @spillway/redis */
export function parseDecisionCountsEvent(event: OutboxEvent): DecisionCountsEvent {
  const { text, number } = eventFields(event);
  return {
    id: outboxEventId(event),
    policy: text('policy', /^[a-z0-9_-]{1,64}$/u),
    outcome: text('outcome', /^[a-z_]{1,32}$/u),
    count: number('count'),
    overMs: number('over'),
    atMs: event.atMs,
  };
}
