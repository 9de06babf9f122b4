import { builtinModule } from '@spillway/redis/core';
import { LRUCache } from 'lru-cache';
import { bytesOf, wholeNumberWithin } from '../../checks.ts';
import { checkMembers, LimiterInputError, shown } from '../../errors.ts';
import { readsHeadersAlone, type RequestHeaders, UnusableIdentityError } from './identity.ts';

/** How {@link byApiKey} tells keys that were given out from made-up ones. */
export interface ByApiKeyOptions {
  /**
   * Whether this key was given out and still holds. The request waits for it, so it needs a deadline of its own where it
   * asks the network; a rejection fails the request.
   */
  readonly verify: (key: string) => boolean | Promise<boolean>;
  /** How long, in ms, a key that was verified isn't asked about again; 0 asks each time. @default 60_000 */
  readonly cacheMs?: number;
}

/** No key that is given out is longer: 256 random bits are 64 hex digits. */
const MAX_KEY_BYTES = 512;

/** What verified keys that are remembered may take; each counts for its characters and its subject's. */
const MAX_KNOWN_BYTES = 4 * 1024 * 1024;
const SUBJECT_BYTES = 128;

const UNKNOWN = 'api_key:unknown';

/**
 * The subject by the `X-API-Key` header: `api_key:` and the first 32 hex digits of the key's SHA-256. The key itself gets
 * to `verify` and nowhere else: not into Redis, logs or the audit tables. All keys that `verify` doesn't
 * know are one subject, `api_key:unknown`, so that an invented key gets no fresh window. A request without a key
 * has no identity; a key of more than 512 bytes gets 400.
 * @example
 * ```ts
 * const identify = byApiKey({ verify: async (key) => customers.has(await digest(key)) });
 * ```
 * @throws {LimiterInputError} at construction, naming the option that can't be used.
 */
export function byApiKey(
  options: ByApiKeyOptions,
): (request: RequestHeaders) => string | undefined | Promise<string | undefined> {
  checkMembers('options', options ?? {}, ['verify', 'cacheMs']);
  const { verify, cacheMs = 60_000 } = options ?? {};
  if (typeof verify !== 'function') {
    throw new LimiterInputError(
      'verify',
      `must be a function that tells keys that were given out from made-up ones, not ${shown(verify)}`,
    );
  }
  wholeNumberWithin('cacheMs', cacheMs, 0, 86_400_000);
  // Only keys that were verified: made-up ones can't push them out.
  const known = new LRUCache<string, string>({
    maxSize: MAX_KNOWN_BYTES,
    sizeCalculation: (_subject, key) => 2 * key.length + SUBJECT_BYTES,
    ttl: cacheMs,
  });

  const keep = (key: string, digest: string): string => {
    const subject = `api_key:${digest}`;
    if (cacheMs > 0) known.set(key, subject);
    return subject;
  };
  const named = (key: string, valid: unknown): string | Promise<string> => {
    if (valid !== true) return UNKNOWN;
    const digest = digestOf(key);
    return typeof digest === 'string' ? keep(key, digest) : digest.then((later) => keep(key, later));
  };

  return readsHeadersAlone((request: RequestHeaders) => {
    const key = request.headers.get('x-api-key');
    if (key === null || key === '') return undefined;
    const subject = known.get(key);
    if (subject !== undefined) return subject;
    if (bytesOf(key) > MAX_KEY_BYTES) {
      throw new UnusableIdentityError('X-API-Key', `must be at most ${MAX_KEY_BYTES} bytes`);
    }
    const valid = verify(key);
    return typeof valid === 'boolean' ? named(key, valid) : Promise.resolve(valid).then((answer) => named(key, answer));
  });
}

const nodeCrypto = builtinModule('node:crypto');

/** The first 32 hex digits of a key's SHA-256: at once on Node, Deno and Bun, later on runtimes that have web crypto alone. */
function digestOf(key: string): string | Promise<string> {
  if (nodeCrypto !== undefined) return nodeCrypto.createHash('sha256').update(key).digest('hex').slice(0, 32);
  return crypto.subtle
    .digest('SHA-256', new TextEncoder().encode(key))
    .then((digest) => Array.from(new Uint8Array(digest, 0, 16), (byte) => byte.toString(16).padStart(2, '0')).join(''));
}
