import { eventFields } from './event-fields.ts';
import { type OutboxEvent, outboxEventId } from './outbox.ts';

/**
 * An outage, as one outbox event describes it: a snapshot with running totals. Of two snapshots with one id the one with more
 * `reports` holds. Times are in ms since 1970 by Redis' clock.
 */
export interface GapEvent {
  /** The outage's id, the same in all its snapshots. */
  readonly id: string;
  /** Identity of the event that opened it. */
  readonly shard: number;
  readonly epoch: number;
  readonly seq: number;
  /** Such as `limiter_outage`. */
  readonly kind: string;
  /** The first and the last decision without Redis. */
  readonly fromMs: number;
  readonly toMs: number;
  /** How many instances have reported it so far, and how often. */
  readonly instances: number;
  readonly reports: number;
  /** How many decisions were made without Redis, by what they said. */
  readonly decisions: Readonly<Record<string, number>>;
  readonly createdAtMs: number;
}

const ANSWER = 'a:';

/** Reads an event of type `gap`. @throws {MalformedEventError} */
export function parseGapEvent(event: OutboxEvent): GapEvent {
  const { text, number, opening } = eventFields(event);
  const kind = text('kind', /./u);
  const { shard, epoch, seq, atMs } = opening();
  const answers = Object.keys(event.fields).filter((field) => field.startsWith(ANSWER));
  return {
    id: outboxEventId({ shard, epoch, seq, atMs }),
    shard,
    epoch,
    seq,
    kind,
    fromMs: number('from'),
    toMs: number('to'),
    instances: number('instances'),
    reports: number('reports'),
    decisions: Object.fromEntries(answers.map((field) => [field.slice(ANSWER.length), number(field)])),
    createdAtMs: atMs,
  };
}
