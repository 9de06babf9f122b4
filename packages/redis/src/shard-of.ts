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

/*
 * Which number in its tag makes a shard's hash slot. Hash slots of consecutive numbers lie close together: of {sw:00} to {sw:15}
 * one of three masters had half. A hash slot is a CRC16, which is linear: each bit of a decimal digit moves it by one pattern,
 * and a namespace in front of the number moves all of them alike. Bit by bit a shard's index becomes the digits that move the highest
 * bits of the hash slot, so that the first 2, 4, 8 and 16 shards have one in each half, quarter, eighth and sixteenth.
 */
const VALUE_OF_BIT = [2, 1, 40, 20, 10, 4];
const spread = Array.from({ length: 2 ** VALUE_OF_BIT.length }, (_, shard) =>
  VALUE_OF_BIT.reduce((number, value, bit) => number + ((shard >> bit) & 1) * value, 0),
);
const others = Array.from({ length: 100 }, (_, number) => number).filter((number) => !spread.includes(number));
const twoDigits = [...spread, ...others].map((number) => String(number).padStart(2, '0'));

/**
 * The hash tag that begins every key of a shard: `{sw:60}`, or `{sw:NAMESPACE:60}`. Shards 0 to 99 have the numbers 00 to 99 in
 * an order that spreads them over the masters of a Cluster; shards 0 to 15 have 00, 02, 01, 03, 40, 42, 41, 43, 20, 22, 21, 23, 60, 62, 61 and
 * 63. From 100 on the number is the shard's index.
 * @param namespace @default none
 */
export function shardTag(shard: number, namespace = ''): string {
  const number = twoDigits[shard] ?? String(shard);
  return namespace === '' ? `{sw:${number}}` : `{sw:${namespace}:${number}}`;
}
