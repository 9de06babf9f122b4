import { and, sql } from 'drizzle-orm';
import { equals, type Page, type PageOptions, readPage } from '../query/keyset-page.ts';
import { columnsOf, typed } from '../query/typed.ts';
import { type InsertRows, unnestInsert } from '../query/unnest-insert.ts';
import { changes } from '../schema/trail.ts';
import { type ConnectionSource, type Queryable, withConnection, transaction } from '../connection.ts';

/** A manual change. It must not contain a secret. */
export interface Change {
  /** Who: `api-key:<id>`, `jwt:<subject>`, `cli:<user>@<host>`, `app:<program>@<host>`, or what an application says. */
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

/** A change as a row. Of one that the outbox told of, `id` is computed from its place there: the same change is the same row. */
export type ChangeRow = Readonly<typeof changes.$inferSelect>;

/** A change, as it is read. */
export type StoredChange = Readonly<Omit<typeof changes.$inferSelect, 'outboxShard' | 'outboxEpoch' | 'outboxSeq'>>;

/** Which changes, and from where on. */
export interface ListChangesOptions extends PageOptions {
  readonly actor?: string;
  readonly action?: string;
  readonly objectKind?: string;
  readonly object?: string;
}

/** Inserts changes of which the outbox told, and returns how many were new. Rejects as `insertBreakerEvents` does. */
export const insertChanges: InsertRows<ChangeRow> = unnestInsert(changes);

const { outboxShard: _shard, outboxEpoch: _epoch, outboxSeq: _seq, ...shown } = columnsOf(changes);

/** Stores a change. */
export async function insertChange(db: Queryable, change: Change): Promise<void> {
  await typed(db)
    .insert(changes)
    .values({ id: sql`gen_random_uuid()`, ...change });
}

/**
 * Makes a change and stores its row, both or neither. A change elsewhere (in Redis) is made after the row is written and
 * before it is committed: a change whose row can't be written is not made, and one that fails leaves no row.
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

/** One page of changes, newest first, filtered. */
export async function listChanges(db: Queryable, options: ListChangesOptions = {}): Promise<Page<StoredChange>> {
  return readPage(changes, 'createdAtMs', options, async ({ where, orderBy, limit }) =>
    typed(db)
      .select(shown)
      .from(changes)
      .where(
        and(
          where,
          equals(changes.actor, options.actor),
          equals(changes.action, options.action),
          equals(changes.objectKind, options.objectKind),
          equals(changes.object, options.object),
        ),
      )
      .orderBy(...orderBy)
      .limit(limit),
  );
}
