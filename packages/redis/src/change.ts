import { type EventIdentity, type OutboxEvent, outboxEventId, EventFields } from './outbox.ts';
import { builtinModule, programArguments } from './platform.ts';

/** A manual change, as one outbox event describes it. */
export interface ChangeEvent extends EventIdentity {
  /** The event's id, the same at every delivery. */
  readonly id: string;
  /** Who: what the limiter or the breakers were told, or {@link defaultActor}. */
  readonly actor: string;
  /** Why, in the actor's words. */
  readonly note: string | null;
  /** What was done: `set_policy`, `block`, `force_open`. */
  readonly action: string;
  /** The kind of thing it was done to: `policy`, `override`, `list`, `block`, `plan`, `preset`, `file`, `breaker`. */
  readonly objectKind: string;
  /** Which of them. */
  readonly object: string;
  /** As it was; null when there was none. */
  readonly before: unknown;
  /** As it is; null when it was removed. */
  readonly after: unknown;
}

/** Reads an event of type `change`. @throws {MalformedEventError} */
export function parseChangeEvent(event: OutboxEvent): ChangeEvent {
  const fields = new EventFields(event);
  const { shard, epoch, seq, atMs } = event;
  const note = fields.text('note');
  return {
    id: outboxEventId(event),
    shard,
    epoch,
    seq,
    atMs,
    actor: fields.text('actor', /./su),
    note: note === '' ? null : note,
    action: fields.text('action', /./su),
    objectKind: fields.text('kind', /./su),
    object: fields.text('object', /./su),
    before: jsonOrText(fields.text('before')),
    after: jsonOrText(fields.text('after')),
  };
}

/** A stored value need not be JSON; it is then reported as text. */
function jsonOrText(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The actor of a change for which the program names none: `app:<program>@<host>`, such as `app:server.js@web-3`. */
export function defaultActor(): string {
  const [runtime = 'unknown', program = runtime] = programArguments();
  return `app:${program.slice(1 + Math.max(program.lastIndexOf('/'), program.lastIndexOf('\\')))}@${hostName()}`
    .slice(0, 200)
    .toWellFormed();
}

/** Deno tells it only to a program that may ask the system; one that may not limits all the same. */
function hostName(): string {
  try {
    return builtinModule('node:os')?.hostname() ?? 'unknown-host';
  } catch {
    return 'unknown-host';
  }
}
