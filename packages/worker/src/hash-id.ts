import { createHash } from 'node:crypto';

/** A UUID version 8 (RFC 9562) made of a hash: what is the same has the same id, whoever computes it. */
export function hashId(value: unknown): string {
  const hex = createHash('sha256').update(JSON.stringify(value)).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
