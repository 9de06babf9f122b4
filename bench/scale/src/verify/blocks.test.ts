import { describe, expect, it } from 'vitest';
import type { BlockReport } from '../ledger/ledger.ts';
import { GENERATE } from '../load/traffic.ts';
import { checkBlocks, type StoredBlock, subjectOf } from './blocks.ts';

const seen = (sentMs: number, sure = true): BlockReport => ({
  user: 7,
  kind: GENERATE,
  sentMs,
  receivedMs: sentMs + 10,
  sure,
});
const stored = (createdAtMs: number, user = 7): StoredBlock => ({
  tier: 'generation',
  action: 'generate-content',
  identifier: subjectOf(user),
  createdAtMs,
});

describe('checkBlocks', () => {
  it('passes when each block has its row, and an unsure one may have none', () => {
    expect(checkBlocks([seen(100), seen(900), seen(950, false)], [stored(905), stored(110)]).passed).toBe(true);
    expect(checkBlocks([seen(950, false)], [stored(955)]).passed).toBe(true);
  });

  it.each([
    ['a row is missing', [seen(100)], [], 'no row'],
    ['a row appears twice', [seen(100)], [stored(101), stored(102)], 'several rows'],
    ['an unsure block has two rows', [seen(100, false)], [stored(101), stored(102)], 'several rows'],
    ['a row tells of a block that nobody saw', [seen(100)], [stored(100), stored(300)], 'nobody saw it'],
    ['a row is somebody else’s', [seen(100)], [stored(100, 8)], 'no row'],
    ['a row is of another time', [seen(100)], [stored(111)], 'no row'],
  ])('fails when %s', (_, blocks, rows, problem) => {
    const { passed, details } = checkBlocks(blocks, rows);
    expect(passed).toBe(false);
    expect(details?.join('\n')).toContain(problem);
  });
});
