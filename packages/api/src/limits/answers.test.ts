import { useRedis } from '@spillway/local-servers/testing';
import { defineScript } from '@spillway/redis';
import { describe, expect, it } from 'vitest';
import { claim, settle } from '../scripts.generated.ts';

const redis = useRedis();
const [ONE, OTHER, BYTES] = ['{sw:00}:idem:one', '{sw:00}:idem:other', '{sw:00}:idem-bytes'] as const;
const claimScript = defineScript(claim, (reply) => (Buffer.isBuffer(reply) ? reply.toString() : reply));
const settleScript = defineScript(settle, (reply) => reply);

const claimed = (entry: string, mine: string, mostBytes = 10_000) =>
  claimScript.run(redis.client, [entry, BYTES], [mine, 20_000, mostBytes]);
const settled = (entry: string, mine: string, answer: string) =>
  settleScript.run(redis.client, [entry, BYTES], [mine, answer, 600_000]);

/** In seconds, rounded up. */
const lives = async (key: string): Promise<number> => Math.ceil((await redis.client.pttl(key)) / 1_000);

describe('claim.lua and settle.lua', () => {
  it('keep an answer in the place of the claim, and count its bytes', async () => {
    expect(await claimed(ONE, 'mine')).toBeNull();
    expect(await claimed(ONE, 'theirs')).toBe('mine');
    expect(await lives(ONE)).toBeGreaterThan(15);
    expect(await lives(ONE)).toBeLessThanOrEqual(20);
    expect(await settled(ONE, 'mine', 'answer')).toBe(1);
    expect(await claimed(ONE, 'theirs')).toBe('answer');
    expect(await redis.client.get(BYTES)).toBe('206');
    for (const key of [ONE, BYTES]) {
      expect(await lives(key), key).toBeGreaterThan(590);
      expect(await lives(key), key).toBeLessThanOrEqual(600);
    }
  });

  it('give a key free without an answer, and count nothing then', async () => {
    await claimed(ONE, 'mine');
    expect(await settled(ONE, 'mine', '')).toBe(1);
    expect(await redis.client.exists(ONE, BYTES)).toBe(0);
  });

  it('change nothing once the claim has ended or another request has the key', async () => {
    for (const answer of ['answer', '']) {
      expect(await settled(ONE, 'mine', answer)).toBe(0);
      await claimed(OTHER, 'theirs');
      expect(await settled(OTHER, 'mine', answer)).toBe(0);
    }
    expect(await redis.client.get(OTHER)).toBe('theirs');
    expect(await redis.client.exists(ONE, BYTES)).toBe(0);
  });

  it('take no claim once the bytes have reached the most, and say when the first of them end', async () => {
    await claimed(ONE, 'mine');
    await settled(ONE, 'mine', 'answer');
    expect(await claimed(OTHER, 'mine', 206)).toMatch(/^f5[89]\d{4}$|^f600000$/u);
    expect(await claimed(OTHER, 'mine', 207)).toBeNull();
    await redis.client.persist(BYTES);
    await settled(OTHER, 'mine', 'another');
    expect(await redis.client.get(BYTES)).toBe('413');
    // The counter ends as late as the first answer: a later one gives it no more time.
    expect(await redis.client.pttl(BYTES)).toBe(-1);
  });
});
