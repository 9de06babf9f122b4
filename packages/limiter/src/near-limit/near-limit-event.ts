import { type OutboxEvent, outboxEventId } from '@spillway/redis';
import { parseWindowKey } from '../window-key.ts';

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

/** An event of type `near_limit` that doesn't say what such an event says. */
export class MalformedNearLimitEventError extends Error {
  readonly code = 'malformed_near_limit_event';
  override readonly name = 'MalformedNearLimitEventError';
  readonly field: string;

  constructor(field: string, value: string | undefined) {
    super(`near_limit event: field "${field}" is ${value === undefined ? 'missing' : JSON.stringify(value)}`);
    this.field = field;
  }
}

/** Reads an event of type `near_limit`. @throws {MalformedNearLimitEventError} */
export function parseNearLimitEvent(event: OutboxEvent): NearLimitEvent {
  const number = (field: string): number => {
    const value = event.fields[field];
    if (value === undefined || !/^\d{1,15}$/.test(value)) throw new MalformedNearLimitEventError(field, value);
    return Number(value);
  };
  const key = event.fields['key'];
  const window = key === undefined ? undefined : parseWindowKey(key);
  if (window === undefined) throw new MalformedNearLimitEventError('key', key);
  return {
    id: outboxEventId(event),
    ...window,
    limit: number('limit'),
    remaining: number('remaining'),
    atMs: event.atMs,
  };
}
