import type { EventIdentity, OutboxEvent } from './outbox.ts';

/** An event that doesn't say what an event of its type says. `code` is `malformed_event`. */
export class MalformedEventError extends Error {
  readonly code = 'malformed_event';
  override readonly name = 'MalformedEventError';
  /** The event's type, such as `block`. */
  readonly type: string;
  readonly field: string;

  constructor(type: string, field: string, value: string | undefined) {
    super(`${type} event: field "${field}" is ${value === undefined ? 'missing' : JSON.stringify(value)}`);
    this.type = type;
    this.field = field;
  }
}

/** Reads an event's own fields. */
export interface EventFields {
  /** @param pattern what it must look like. @default anything, also nothing */
  text(field: string, pattern?: RegExp): string;
  /** A whole number of at most 15 digits. */
  number(field: string): number;
  /**
   * Whom a snapshot with running totals is about: the event that opened it. That is the event itself where `id_seq` is 0,
   * and else the one that `id_epoch`, `id_seq` and `id_at` name.
   */
  opening(): EventIdentity;
}

/** Makes an {@link EventFields}, all of which throw {@link MalformedEventError} naming the field. */
export function eventFields(event: OutboxEvent): EventFields {
  const text = (field: string, pattern?: RegExp): string => {
    const value = event.fields[field];
    if (value === undefined || pattern?.test(value) === false) throw new MalformedEventError(event.type, field, value);
    return value;
  };
  const number = (field: string): number => Number(text(field, /^\d{1,15}$/u));
  return {
    text,
    number,
    opening() {
      const { shard, epoch, seq, atMs } = event;
      if (number('id_seq') === 0) return { shard, epoch, seq, atMs };
      return { shard, epoch: number('id_epoch'), seq: number('id_seq'), atMs: number('id_at') };
    },
  };
}
