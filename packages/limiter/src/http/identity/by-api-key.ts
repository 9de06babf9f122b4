import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { RequestHeaders } from './identity.ts';

const hashes = new LRUCache<string, string>({ max: 10_000 });

/**
 * The subject by the `X-API-Key` header: `api_key:` and the first 32 hex digits of the key's SHA-256. The key itself
 * must not get into Redis, logs or the audit tables. Whether the key exists is not checked here: where unknown keys are
 * not turned away before the limit, each made-up one is a subject of its own.
 */
export const byApiKey = (request: RequestHeaders): string | undefined => {
  const key = request.headers.get('x-api-key');
  if (key === null || key === '') return undefined;
  let subject = hashes.get(key);
  if (subject === undefined) {
    subject = `api_key:${createHash('sha256').update(key).digest('hex').slice(0, 32)}`;
    hashes.set(key, subject);
  }
  return subject;
};
