/** One stream's part of a reply: its key and its entries (id, then names and values in turn). */
export interface StreamPart {
  readonly key: string;
  readonly entries: readonly (readonly [id: string, fields: readonly string[]])[];
}

/**
 * Reads the reply of XREADGROUP: nothing, a list of pairs (RESP2), or keys and entries in turn (a RESP3 map that the
 * client flattened).
 */
export function decodeStreams(reply: unknown): readonly StreamPart[] {
  const parts = list(reply);
  const pairs = Array.isArray(parts[0]) ? parts.map(list) : inPairs(parts);
  return pairs.map(([key, entries]) => ({ key: text(key), entries: decodeEntries(entries) }));
}

/** Reads the reply of XAUTOCLAIM: where to go on (`0-0` = from the beginning again), and what was claimed. */
export function decodeClaim(reply: unknown): { readonly cursor: string; readonly entries: StreamPart['entries'] } {
  const [cursor, entries] = list(reply);
  return { cursor: text(cursor), entries: decodeEntries(entries) };
}

/** Reads a list of entries, as XRANGE gives it. */
export function decodeEntries(value: unknown): StreamPart['entries'] {
  return list(value).flatMap((entry) => {
    const [id, fields] = list(entry);
    // Redis 6.2 gives null for an entry that was deleted while it was pending.
    return fields === null || fields === undefined ? [] : [[text(id), list(fields).map(text)] as const];
  });
}

function inPairs(flat: readonly unknown[]): unknown[][] {
  return Array.from({ length: flat.length / 2 }, (_, index) => flat.slice(2 * index, 2 * index + 2));
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString('utf8') : String(value);
}
