import { eventFields, MalformedEventError, type OutboxEvent } from '@spillway/redis';
import { parseWindowKey } from '../window-key.ts';

/** The window that an event is about. */
export interface EventWindow {
  /** Its key in Redis. */
  readonly key: string;
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
}

/** Reads an event's field `key`. @throws {MalformedEventError} when it is no window's key. */
export function windowOf(event: OutboxEvent): EventWindow {
  const key = eventFields(event).text('key');
  const window = parseWindowKey(key);
  if (window === undefined) throw new MalformedEventError(event.type, 'key', key);
  return { key, ...window };
}
