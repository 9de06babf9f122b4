import type { ConnectionSource, Queryable } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { withConnection } from '../connection/with-connection.ts';
import { epochMs, keysetList, type ListRows, type PageOptions } from './keyset-page.ts';

/** What somebody changed by hand. Nothing in it may be a secret. */
export interface Change {
  /** Who: `api-key:<id>`, `jwt:<subject>`, `cli:<user>@<host>`. */
  readonly actor: string;
  /** What was done: `set_policy`, `unblock`, `revoke_key`. */
  readonly action: string;
  /** The kind of thing it was done to: `policy`, `override`, `list`, `key`, `block`, `job`. */
  readonly objectKind: string;
  /** Which of them. */
  readonly object: string;
  /** As it was; null when there was none. */
  readonly before?: unknown;
  /** As it is; null when it was removed. */
  readonly after?: unknown;
  /** Why, in the actor's words. */
  readonly note?: string;
}

/** A change, as it is read. */
export interface StoredChange {
  readonly id: string;
  readonly createdAtMs: number;
  readonly actor: string;
  readonly action: string;
  readonly objectKind: string;
  readonly object: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly note: string | null;
}

/** Which changes, and from where on. */
export interface ListChangesOptions extends PageOptions {
  readonly actor?: string;
  readonly action?: string;
  readonly objectKind?: string;
  readonly object?: string;
}

const INSERT = `
  INSERT INTO spillway.changes (id, actor, action, object_kind, object, before, after, note)
  VALUES (gen_random_uuid(), $1, $2, $3, $4, $5::jsonb, $6::jsonb, $7)`;

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

/** Writes one down. */
export async function insertChange(db: Queryable, change: Change): Promise<void> {
  const { actor, action, objectKind, object, before = null, after = null, note = null } = change;
  await db.query(INSERT, [actor, action, objectKind, object, json(before), json(after), note]);
}

/**
 * Makes a change and writes it down, both or neither. A change elsewhere (in Redis) is made once the row is written and
 * before it is committed: one that can't be written down is not made, and one that fails leaves no row.
 * @param change the row, or a function that makes it of what `work` returned, for work within the same transaction
 */
export async function recordChange<Result>(
  pool: ConnectionSource,
  work: (connection: Queryable) => Promise<Result>,
  change: Change | ((result: Result) => Change | undefined),
): Promise<Result> {
  return withConnection(pool, async (connection) =>
    transaction(connection, {}, async () => {
      if (typeof change !== 'function') {
        await insertChange(connection, change);
        return work(connection);
      }
      const result = await work(connection);
      const row = change(result);
      if (row !== undefined) await insertChange(connection, row);
      return result;
    }),
  );
}

const text = (column: string, read: (options: ListChangesOptions) => string | undefined) =>
  ({ type: 'text', where: (value: string) => `${column} = ${value}`, read }) as const;

/** One page of changes, newest first, filtered. */
export const listChanges: ListRows<StoredChange, ListChangesOptions> = keysetList({
  table: 'spillway.changes',
  columns: `id, actor, action, object_kind AS "objectKind", object, before, after, note, ${epochMs('created_at', 'createdAtMs')}`,
  time: 'created_at',
  timeMs: ({ createdAtMs }) => createdAtMs,
  filters: [
    text('actor', ({ actor }) => actor),
    text('action', ({ action }) => action),
    text('object_kind', ({ objectKind }) => objectKind),
    text('object', ({ object }) => object),
  ],
});
