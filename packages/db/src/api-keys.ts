import { and, eq, inArray, isNull, not, or, type SQL, sql } from 'drizzle-orm';
import { type Page, type PageOptions, readPage, when } from './query/keyset-page.ts';
import { anyOf, columnsOf, typed } from './query/typed.ts';
import { apiKeys } from './schema/api-keys.ts';
import type { apiKeyScopes } from './schema/columns.ts';
import type { Queryable } from './connection.ts';
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';

/** What a key may do: see `apiKeyScopes`. */
export type ApiKeyScope = (typeof apiKeyScopes)[number];

/** A key as it is shown: never its secret, nor the hash of it. Times are epoch ms. */
export type ApiKeyRow = Readonly<Omit<typeof apiKeys.$inferSelect, 'secretHash'>>;

const { id, name, scopes, secretHash, expiresAtMs, revokedAtMs, lastUsedAtMs } = apiKeys;
const { secretHash: _hash, ...shown } = columnsOf(apiKeys);

/** Keys that can be used now. */
const active = sql`(${revokedAtMs} is null and (${expiresAtMs} is null or ${expiresAtMs} > now()))`;

/** A moment so many milliseconds from now; null = never. */
const fromNow = (ms: number | null): SQL => sql`now() + ${ms}::float8 * interval '1 millisecond'`;

/** A key to store. The caller generates id and secret. */
export interface NewApiKey {
  /** UUID. */
  readonly id: string;
  /** SHA-256 of the secret, 32 bytes. */
  readonly secretHash: Buffer;
  readonly name: string;
  /** At least one. */
  readonly scopes: readonly ApiKeyScope[];
  /** How long it is valid, in ms from now by Postgres' clock. @default no expiry */
  readonly expiresInMs?: number;
}

/** Stores a key. */
export async function insertApiKey(db: Queryable, { expiresInMs, ...key }: NewApiKey): Promise<ApiKeyRow> {
  const [row] = await typed(db)
    .insert(apiKeys)
    .values({ ...key, scopes: [...key.scopes], expiresAtMs: fromNow(expiresInMs ?? null) })
    .returning(shown);
  if (row === undefined) throw new Error('the insert returned no row');
  return row;
}

/** What a key is made from. */
export type CreateApiKeyOptions = Pick<NewApiKey, 'name' | 'scopes' | 'expiresInMs'>;

/** A key that was just made: the only moment in which it can be read. */
export interface CreatedApiKey {
  /** `sw_<id>_<secret>`. */
  readonly key: string;
  readonly row: ApiKeyRow;
}

/** Makes a key and stores the hash of its secret. */
export async function createApiKey(db: Queryable, options: CreateApiKeyOptions): Promise<CreatedApiKey> {
  const { key, ...made } = generateKey();
  return { key, row: await insertApiKey(db, { ...options, ...made }) };
}

/** How to replace a key. */
export interface ApiKeyRotation {
  /** The key to replace. */
  readonly replaces: string;
  /** UUID of the new one. */
  readonly id: string;
  /** SHA-256 of the new secret, 32 bytes. */
  readonly secretHash: Buffer;
  /** How long the old key stays valid, in ms. */
  readonly graceMs: number;
}

/**
 * Makes a key with the name and scopes of another one, which ends soon. One statement: the old key gets its end in the moment in
 * which the new one begins. A key that would have ended sooner still does. The new one is valid for as long as the old one was
 * meant to be.
 * @returns undefined when that one is no valid key.
 */
export async function rotateApiKey(db: Queryable, rotation: ApiKeyRotation): Promise<ApiKeyRow | undefined> {
  const builder = typed(db);
  const old = builder.$with('old').as(
    builder
      .select({ id, name, scopes, createdAtMs: apiKeys.createdAtMs, expiresAtMs })
      .from(apiKeys)
      .where(and(eq(id, rotation.replaces), active))
      .for('update'),
  );
  const retired = builder.$with('retired').as(
    builder
      .update(apiKeys)
      .set({ expiresAtMs: sql`least(${expiresAtMs}, ${fromNow(rotation.graceMs)})` })
      .from(old)
      .where(eq(id, old.id)),
  );
  const [row] = await builder
    .with(old, retired)
    .insert(apiKeys)
    .select((query) =>
      query
        .select({
          id: sql<string>`${rotation.id}::uuid`.as(apiKeys.id.name),
          name: old.name,
          secretHash: sql<Buffer>`${rotation.secretHash}::bytea`.as(apiKeys.secretHash.name),
          scopes: old.scopes,
          replaces: old.id,
          createdAtMs: sql<number>`now()`.as(apiKeys.createdAtMs.name),
          expiresAtMs: sql<number>`now() + (${old.expiresAtMs} - ${old.createdAtMs})`.as(apiKeys.expiresAtMs.name),
          revokedAtMs: sql<null>`null::timestamptz`.as(apiKeys.revokedAtMs.name),
          lastUsedAtMs: sql<null>`null::timestamptz`.as(apiKeys.lastUsedAtMs.name),
        })
        .from(old),
    )
    .returning(shown);
  return row;
}

/** Ends a key at once; ending it again changes nothing. @returns whether there is such a key. */
export async function revokeApiKey(db: Queryable, keyId: string): Promise<boolean> {
  const { rowCount } = await typed(db)
    .update(apiKeys)
    .set({ revokedAtMs: sql`coalesce(${revokedAtMs}, now())` })
    .where(eq(id, keyId));
  return rowCount === 1;
}

/**
 * Notes that keys are in use. Keys used within the last half minute are skipped, so that twenty processes cause one write.
 */
export async function touchApiKeys(db: Queryable, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const builder = typed(db);
  const resting = sql`now() - interval '30 seconds'`;
  const stale = builder
    .select({ id })
    .from(apiKeys)
    .where(and(anyOf(id, ids), or(isNull(lastUsedAtMs), sql`${lastUsedAtMs} < ${resting}`)))
    .orderBy(id)
    .for('update');
  await builder
    .update(apiKeys)
    .set({ lastUsedAtMs: sql`now()` })
    .where(inArray(id, stale));
}

/** One key, valid or ended; undefined when there is none of this id. */
export async function readApiKey(db: Queryable, keyId: string): Promise<ApiKeyRow | undefined> {
  const [row] = await typed(db).select(shown).from(apiKeys).where(eq(id, keyId));
  return row;
}

/** Which keys, and from where on. */
export interface ListApiKeysOptions extends PageOptions {
  /** true: can be used now; false: revoked or expired. @default both */
  readonly active?: boolean;
}

/** One page of keys, newest first, filtered. */
export async function listApiKeys(db: Queryable, options: ListApiKeysOptions = {}): Promise<Page<ApiKeyRow>> {
  return readPage(apiKeys, 'createdAtMs', options, async ({ where, orderBy, limit }) =>
    typed(db)
      .select(shown)
      .from(apiKeys)
      .where(
        and(
          where,
          when(options.active, (wanted) => (wanted ? active : not(active))),
        ),
      )
      .orderBy(...orderBy)
      .limit(limit),
  );
}

/** All that a check of a key needs. */
export interface ActiveApiKey extends Readonly<
  Pick<typeof apiKeys.$inferSelect, 'id' | 'name' | 'scopes' | 'secretHash'>
> {
  /** What is left of its time, by Postgres' clock; null = no end. */
  readonly expiresInMs: number | null;
}

/** Every key that can be used now. */
export async function activeApiKeys(db: Queryable): Promise<readonly ActiveApiKey[]> {
  const expiresInMs = sql<number | null>`(extract(epoch from ${expiresAtMs} - now()) * 1000)::float8`;
  return typed(db).select({ id, name, scopes, secretHash, expiresInMs }).from(apiKeys).where(active);
}

/**
 * A text that changes when a key that can be used is added, changed or ended. Costs a scan of a small table. Over all that a check
 * depends on, and not over the time of last use. Computed from the rows instead of kept in a counter, so a change by hand counts
 * too, and a transaction that commits late is not overlooked.
 */
export async function apiKeysVersion(db: Queryable): Promise<string> {
  const hash = sql`hashtextextended(concat_ws('|', ${id}, ${name}, ${scopes}, ${secretHash}, ${expiresAtMs}), 0)`;
  const [row] = await typed(db)
    .select({ version: sql<string>`count(*) || ':' || coalesce(sum(${hash}), 0)` })
    .from(apiKeys)
    .where(active);
  return row?.version ?? '';
}

/** A key, taken apart. */
export interface ApiKeyParts {
  /** UUID. */
  readonly id: string;
  readonly secret: string;
}

/** A key that was just made: the only moment in which its secret is known. */
export interface GeneratedKey {
  readonly id: string;
  /** `sw_<id>_<secret>`, to be given to its owner. */
  readonly key: string;
  /** What is stored of it. */
  readonly secretHash: Buffer;
}

const FORMAT = /^sw_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_([\w-]{43})$/u;

/** Makes a key with 256 random bits. */
export function generateKey(): GeneratedKey {
  const keyId = randomUUID();
  const secret = randomBytes(32).toString('base64url');
  return { id: keyId, key: `sw_${keyId.replaceAll('-', '')}_${secret}`, secretHash: hashSecret(secret) };
}

/** Takes a key apart; undefined when it isn't one. */
export function parseKey(text: string): ApiKeyParts | undefined {
  const [, a, b, c, d, e, secret] = FORMAT.exec(text) ?? [];
  return secret === undefined ? undefined : { id: `${a}-${b}-${c}-${d}-${e}`, secret };
}

/**
 * SHA-256, and no slow hash such as bcrypt on purpose: those make guessing a password dear, and 256 random bits can't be
 * guessed at any price. A slow hash here would let any client use up CPU with made-up keys.
 */
function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Compares in constant time. */
export function secretMatches(secret: string, hash: Buffer): boolean {
  const given = hashSecret(secret);
  return given.length === hash.length && timingSafeEqual(given, hash);
}
