/**
 * The shard of a subject: FNV-1a (32 bits, over UTF-16 code units) modulo `shards`. Every key of one subject lies in one
 * shard, so whatever one decision touches is in one Redis Cluster slot.
 */
export function shardOf(subject: string, shards: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < subject.length; index += 1) {
    hash = Math.imul(hash ^ subject.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) % shards;
}

/** The hash tag that begins every key of a shard: `{sw:07}`, or `{sw:NAMESPACE:07}`. @param namespace @default none */
export function shardTag(shard: number, namespace = ''): string {
  const number = String(shard).padStart(2, '0');
  return namespace === '' ? `{sw:${number}}` : `{sw:${namespace}:${number}}`;
}
