import { eventFields, type OutboxEvent, outboxEventId } from '@spillway/redis';
import { windowOf } from './window-of-event.ts';

/** A subject that came near its limit, as one outbox event tells it. */
export interface NearLimitEvent {
  /** The event's id, the same at every delivery. */
  readonly id: string;
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
  /** Units in a window. */
  readonly limit: number;
  /** Units left after the request that crossed the threshold. */
  readonly remaining: number;
  /** When it was recorded, about a second after the crossing at most; ms since 1970 by Redis' clock. */
  readonly atMs: number;
}

/** Reads an event of type `near_limit`. @throws {MalformedEventError} of @spillway/redis */
export function parseNearLimitEvent(event: OutboxEvent): NearLimitEvent {
  const { number } = eventFields(event);
  const { policy, action, subject } = windowOf(event);
  return {
    id: outboxEventId(event),
    policy,
    action,
    subject,
    limit: number('limit'),
    remaining: number('remaining'),
    atMs: event.atMs,
  };
}
