import { describe, expect, it } from 'vitest';
import { decodeClaim, decodeStreams } from './stream-reply.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const items = [[bytes('1-0'), [bytes('type'), bytes('block')]]];
const decoded = { key: 'a', entries: [['1-0', ['type', 'block']]] };

describe('decodeStreams', () => {
  it('reads a list of pairs', () => expect(decodeStreams([[bytes('a'), items]])).toEqual([decoded]));
  it('reads a flattened map', () =>
    expect(decodeStreams([bytes('a'), items, bytes('b'), []])).toEqual([decoded, { key: 'b', entries: [] }]));
  it('reads a reply without streams', () => expect(decodeStreams(null)).toEqual([]));
});

describe('decodeClaim', () => {
  it('gives the cursor and leaves out entries that are gone', () =>
    expect(decodeClaim([bytes('5-0'), [...items, [bytes('2-0'), null]], []])).toEqual({
      cursor: '5-0',
      entries: decoded.entries,
    }));
});
