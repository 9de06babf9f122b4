import { EventFields, type EventIdentity, MalformedEventError, type OutboxEvent, outboxEventId } from '@spillway/redis';

/** Something that happened to a breaker, as one outbox event describes it. */
export interface BreakerEvent extends EventIdentity {
  readonly id: string;
  readonly breakerName: string;
  readonly preset: string;
  readonly eventType: 'opened' | 'half_open' | 'closed' | 'failure' | 'success';
  /** Of a transition: the failures that caused it. Of a failure: how many failures it counts. */
  readonly failureCount: number;
  /** Secrets masked, at most 500 characters. */
  readonly errorMessage: string | null;
  /** Of transitions: the breaker's epoch, with which they are unique. Null for the others. */
  readonly breakerEpoch: number | null;
  /**
   * Among others: reason, instance, version; of a forced state who, why and untilMs (0: no end); of failures that were
   * reported late lateMs, how long before the event the first of them was.
   */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** The outbox's name for these events. */
export const BREAKER_EVENT = 'breaker';

/** Reads an event of type `breaker`. @throws {MalformedEventError} of @spillway/redis */
export function parseBreakerEvent(event: OutboxEvent): BreakerEvent {
  const { shard, epoch, seq, atMs } = event;
  const fields = new EventFields(event);
  const eventType = fields.text('event');
  if (!isEventType(eventType)) throw new MalformedEventError(event.type, 'event', eventType);
  const isTransition = eventType !== 'failure' && eventType !== 'success';
  const breakerEpoch = fields.number('breaker_epoch');
  const message = fields.text('message');
  return {
    id: outboxEventId(event),
    shard,
    epoch,
    seq,
    atMs,
    breakerName: fields.text('name'),
    preset: fields.text('preset'),
    eventType,
    failureCount: fields.number('failure_count'),
    errorMessage: message === '' ? null : message,
    breakerEpoch: isTransition ? breakerEpoch : null,
    metadata: { preset: fields.text('preset'), ...parseMetadata(event.type, fields.text('metadata')) },
  };
}

function isEventType(value: string): value is BreakerEvent['eventType'] {
  return ['opened', 'half_open', 'closed', 'failure', 'success'].includes(value);
}

function parseMetadata(type: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below, like anything else that is no object.
  }
  throw new MalformedEventError(type, 'metadata', text);
}
