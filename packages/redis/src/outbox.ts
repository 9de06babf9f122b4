import { shardTag } from './shard-of.ts';

/** The keys of one shard's outbox. */
export interface OutboxKeys {
  /** Stream with one entry an event. */
  readonly stream: string;
  /** Hash with the fields `epoch`, `seq` and `dropped`. */
  readonly head: string;
}

/** An event as a script wrote it, not parsed yet. */
export interface OutboxEvent {
  /** The stream entry's id, to acknowledge it by. */
  readonly entryId: string;
  readonly shard: number;
  /** When this shard's counter was born, in milliseconds since 1970. */
  readonly epoch: number;
  /** Position within the epoch, from 1 without gaps; 0 for events that are not sequenced. */
  readonly seq: number;
  /** When it happened by Redis' clock, in milliseconds since 1970. */
  readonly atMs: number;
  readonly type: string;
  /** The rest of the entry: text, and numbers where the script wrote them as such. */
  readonly fields: Readonly<Record<string, string | number>>;
}

/**
 * A stream entry as `XRANGE` gives it: its id, then names and values in turn. Those of an event are packed as
 * `outbox_emit` writes them, one field `e` with a JSON list, or lie there one by one, as a dead letter keeps them.
 */
export type RawEntry = readonly [id: string, fields: readonly string[]];

/** A stream entry that is no outbox event. `code` is `malformed_outbox_entry`. */
export class MalformedOutboxEntryError extends Error {
  readonly code = 'malformed_outbox_entry';
  override readonly name = 'MalformedOutboxEntryError';
  readonly entryId: string;
  readonly field: string;

  constructor(entryId: string, field: string, value: string | number | undefined) {
    super(`outbox entry ${entryId}: field "${field}" is ${value === undefined ? 'missing' : JSON.stringify(value)}`);
    this.entryId = entryId;
    this.field = field;
  }
}

/** The keys of a shard's outbox. @param namespace @default none */
export function outboxKeys(shard: number, namespace = ''): OutboxKeys {
  const tag = shardTag(shard, namespace);
  return { stream: `${tag}:outbox`, head: `${tag}:outbox:head` };
}

type Fields = OutboxEvent['fields'];

/**
 * The values that follow type, epoch, seq and at in the packed events of a type that are written without names, and how many
 * they are. Later versions of a script may write more at the end, which earlier readers leave out. Literals: objects that grow
 * by one field after the other take three times as much memory.
 */
const LAYOUTS: Readonly<
  Record<string, { readonly size: number; readonly name: (values: readonly Value[]) => Fields }>
> = {
  block: {
    size: 12,
    name: (values) => ({
      key: values[4] ?? '',
      limit: values[5] ?? '',
      window: values[6] ?? '',
      count: values[7] ?? '',
      denied: values[8] ?? '',
      start: values[9] ?? '',
      last: values[10] ?? '',
      until: values[11] ?? '',
      mode: values[12] ?? '',
      id_epoch: values[13] ?? '',
      id_seq: values[14] ?? '',
      id_at: values[15] ?? '',
    }),
  },
};

/**
 * Reads a stream entry.
 * @throws {MalformedOutboxEntryError} when a field that every event has is missing or is no whole number.
 */
export function parseOutboxEntry(shard: number, [entryId, stored]: RawEntry): OutboxEvent {
  const { type, epoch, seq, at, fields } = unpacked(stored) ?? named(stored);
  if (typeof type !== 'string' || type === '') throw new MalformedOutboxEntryError(entryId, 'type', type);
  return {
    entryId,
    shard,
    epoch: wholeNumber(entryId, 'epoch', epoch),
    seq: wholeNumber(entryId, 'seq', seq),
    atMs: wholeNumber(entryId, 'at', at),
    type,
    fields,
  };
}

/** An entry's names and values in turn, unpacked. What isn't packed, or not as `outbox_emit` does it, stays as it is. */
export function outboxFields(stored: RawEntry[1]): RawEntry[1] {
  const event = unpacked(stored);
  if (event === undefined) return stored;
  const { fields, ...head } = event;
  return Object.entries({ ...head, ...fields }).flatMap(([name, value]) => [name, String(value)]);
}

type Value = string | number;

/** An entry that wasn't checked yet. */
interface Unchecked {
  readonly type: Value | undefined;
  readonly epoch: Value | undefined;
  readonly seq: Value | undefined;
  readonly at: Value | undefined;
  readonly fields: Fields;
}

function named(flat: readonly string[]): Unchecked {
  const { type, epoch, seq, at, ...fields } = inPairs(flat, 0);
  return { type, epoch, seq, at, fields };
}

/** Undefined for what isn't packed as `outbox_emit` does it. */
function unpacked(stored: RawEntry[1]): Unchecked | undefined {
  if (stored.length !== 2 || stored[0] !== 'e') return undefined;
  const values = listOf(stored[1] ?? '');
  if (values === undefined || values.length <= HEAD) return undefined;
  const type = values[0];
  const layout = typeof type === 'string' && Object.hasOwn(LAYOUTS, type) ? LAYOUTS[type] : undefined;
  if (layout !== undefined && values.length < HEAD + layout.size) return undefined;
  const fields = layout === undefined ? inPairs(values, HEAD) : layout.name(values);
  return { type, epoch: values[1], seq: values[2], at: values[3], fields };
}

/** Values of a packed entry that every event has. */
const HEAD = 4;

function inPairs<V extends Value>(flat: readonly V[], from: number): Record<string, V | ''> {
  const fields: Record<string, V | ''> = {};
  for (let index = from; index + 1 < flat.length; index += 2) fields[String(flat[index])] = flat[index + 1] ?? '';
  return fields;
}

function listOf(packed: string): readonly Value[] | undefined {
  try {
    const list: unknown = JSON.parse(packed);
    return Array.isArray(list) && list.every((item) => typeof item === 'string' || typeof item === 'number')
      ? list
      : undefined;
  } catch {
    return undefined;
  }
}

/** What identifies an event, in every store and at any time. */
export type EventIdentity = Pick<OutboxEvent, 'shard' | 'epoch' | 'seq' | 'atMs'>;

/**
 * The event's id: a UUID version 8 (RFC 9562) computed from its identity, so that the same event has the same id however
 * often it is delivered. Layout: 48 bits of `atMs`, 12 of the shard, 40 of `seq`, 22 of `epoch`. The time comes first
 * to keep inserts at the right edge of the index, and it is part of the identity because a failover to a lagging
 * replica can hand out a (shard, epoch, seq) again.
 */
export function outboxEventId({ shard, epoch, seq, atMs }: EventIdentity): string {
  // By bytes: with BigInt the sink spent a tenth of its time here, with toString(16) a twentieth.
  const time = Math.floor(atMs / 2 ** 16);
  const middle = Math.floor(seq / 4) % 2 ** 24;
  const rest = (seq % 4) * 2 ** 22 + (epoch % 2 ** 22);
  return `${two(time >>> 16)}${two(time)}-${two(atMs % 2 ** 16)}-${two(0x8000 + shard)}-${two(0x8000 + Math.floor(seq / 2 ** 26))}-${
    three(middle) + three(rest)
  }`;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The last two bytes of a number. */
function two(value: number): string {
  return `${HEX[(value >>> 8) & 255]}${HEX[value & 255]}`;
}

function three(value: number): string {
  return `${HEX[(value >>> 16) & 255]}${two(value)}`;
}

const NUMBER = /^\d{1,15}$/;

/** Whether it is a whole number of at most 15 digits. */
function isWhole(value: Value): boolean {
  return typeof value === 'number' ? Number.isInteger(value) && value >= 0 && value < 1e15 : NUMBER.test(value);
}

function wholeNumber(entryId: string, field: string, value: Value | undefined): number {
  if (value === undefined || !isWhole(value)) throw new MalformedOutboxEntryError(entryId, field, value);
  return Number(value);
}

/** An event that doesn't say what an event of its type says. `code` is `malformed_event`. */
export class MalformedEventError extends Error {
  readonly code = 'malformed_event';
  override readonly name = 'MalformedEventError';
  /** The event's type, such as `block`. */
  readonly type: string;
  readonly field: string;

  constructor(type: string, field: string, value: string | number | undefined) {
    super(`${type} event: field "${field}" is ${value === undefined ? 'missing' : JSON.stringify(value)}`);
    this.type = type;
    this.field = field;
  }
}

/**
 * Reads an event's own fields. Each method throws {@link MalformedEventError} naming the field. A class, since a worker makes one
 * for each event: closures made here were a tenth of its time.
 */
export class EventFields {
  readonly #event: OutboxEvent;

  constructor(event: OutboxEvent) {
    this.#event = event;
  }

  /** @param pattern what it must look like. @default anything, also nothing */
  text(field: string, pattern?: RegExp): string {
    const value = this.#event.fields[field];
    const text = value === undefined ? undefined : String(value);
    if (text === undefined || pattern?.test(text) === false) {
      throw new MalformedEventError(this.#event.type, field, value);
    }
    return text;
  }

  /** A whole number of at most 15 digits. */
  number(field: string): number {
    const value = this.#event.fields[field];
    if (value === undefined || !isWhole(value)) throw new MalformedEventError(this.#event.type, field, value);
    return Number(value);
  }

  /**
   * Whom a snapshot with running totals is about: the event that opened it. That is the event itself where `id_seq` is 0,
   * and else the one that `id_epoch`, `id_seq` and `id_at` name.
   */
  opening(): EventIdentity {
    const { shard, epoch, seq, atMs } = this.#event;
    const openedBy = this.number('id_seq');
    if (openedBy === 0) return { shard, epoch, seq, atMs };
    return { shard, epoch: this.number('id_epoch'), seq: openedBy, atMs: this.number('id_at') };
  }
}

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
  const fields = new EventFields(event);
  const kind = fields.text('kind', /./u);
  const { shard, epoch, seq, atMs } = fields.opening();
  const answers = Object.keys(event.fields).filter((field) => field.startsWith(ANSWER));
  return {
    id: outboxEventId({ shard, epoch, seq, atMs }),
    shard,
    epoch,
    seq,
    kind,
    fromMs: fields.number('from'),
    toMs: fields.number('to'),
    instances: fields.number('instances'),
    reports: fields.number('reports'),
    decisions: Object.fromEntries(answers.map((field) => [field.slice(ANSWER.length), fields.number(field)])),
    createdAtMs: atMs,
  };
}
