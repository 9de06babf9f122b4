import { getEventListeners } from 'node:events';
import type { Filter, RangeName, Snapshot } from './snapshot-shape.ts';
import { describe, expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';
import { type Filtered, sharedSnapshots, type SnapshotReader } from './shared.ts';
import { cookieSessions } from '../auth/credential.ts';
import type { Scope, Verdict } from '../openapi/api-app.ts';

let ending = new AbortController();
let granted: readonly Scope[] = ['read'];
let verified = 0;
const authenticator = {
  verify: (token: string): Verdict => {
    verified += 1;
    return { kind: 'known', principal: { id: token, kind: 'api-key', scopes: granted } };
  },
};
const api = useApi(() => {
  ending = new AbortController();
  granted = ['read'];
  verified = 0;
  const sessions = cookieSessions('a secret of thirty-two characters');
  return {
    authenticator,
    dashboard: { sessions, ending: ending.signal, everyMs: 20, streams: { perClient: 2, total: 3 } },
  };
});

interface OpenStream {
  readonly status: number;
  /** The next event that came. */
  next(): Promise<string>;
  close(): Promise<void>;
}

async function open(client = 'a', method = 'GET'): Promise<OpenStream> {
  const response = await api.app.request('/dashboard/events', {
    method,
    headers: { Authorization: `Bearer ${client}` },
  });
  const reader = response.body?.getReader();
  return {
    status: response.status,
    next: async () => new TextDecoder().decode((await reader?.read())?.value),
    close: async () => reader?.cancel(),
  };
}

async function openOnceThereIsRoom(client?: string): Promise<OpenStream> {
  let stream = await open(client);
  await expect.poll(async () => (stream = stream.status === 200 ? stream : await open(client)).status).toBe(200);
  return stream;
}

const listeners = (): number => getEventListeners(ending.signal, 'abort').length;

describe('streams of the dashboard', () => {
  it('leave nothing when they are closed, before or after their first figures', async () => {
    const before = listeners();
    for (let round = 0; round < 20; round += 1) {
      // Two at once are the bound: a place that was not given back would refuse the third.
      const stream = await openOnceThereIsRoom();
      if (round % 2 === 0) expect(await stream.next()).toContain('event: snapshot');
      await stream.close();
    }
    expect(listeners()).toBe(before);
  });

  it('answer HEAD without a stream', async () => {
    for (let round = 0; round < 10; round += 1) {
      const response = await api.app.request('/dashboard/events', {
        method: 'HEAD',
        headers: { Authorization: 'Bearer a' },
      });
      expect([response.status, response.headers.get('Content-Type')]).toEqual([200, 'text/event-stream']);
    }
    expect(verified).toBe(10);
  });

  it('are bounded by client and in all', async () => {
    const streams = [await open('a'), await open('a')];
    expect((await open('a')).status).toBe(429);
    streams.push(await open('b'));
    expect((await open('c')).status).toBe(429);
    await streams[0]?.close();
    streams.push(await openOnceThereIsRoom('c'));
    for (const stream of streams) await stream.close();
  });

  it('end when the key loses the scope, not only when it is revoked', async () => {
    const stream = await open();
    expect(await stream.next()).toContain('event: snapshot');
    granted = ['decide'];
    await expect.poll(() => stream.next()).toContain('event: signed-out');
  });

  it('end with the server', async () => {
    const streams = [await open('a'), await open('b')];
    for (const stream of streams) await stream.next();
    ending.abort();
    for (const stream of streams) await expect.poll(() => stream.next()).toBe('');
    expect(listeners()).toBe(0);
  });
});

const blocksOf = (filter: Filter): Filtered => ({ filter, blocks: { kind: 'failed', reason: 'none' } });

describe('sharedSnapshots', () => {
  type Common = Awaited<ReturnType<SnapshotReader['common']>>;
  const all: Filter = { tier: null, action: null };

  it('begins no second read while one is under way, and counts the age from its end', async () => {
    const reads: { readonly range: RangeName; readonly end: () => void; readonly fail: () => void }[] = [];
    const common = async (range: RangeName): Promise<Common> =>
      new Promise((resolve, reject) =>
        reads.push({
          range,
          end: () => resolve({ range } as Snapshot),
          fail: () => reject(new Error('away')),
        }),
      );
    const snapshots = sharedSnapshots({ common, filtered: async (_, filter) => blocksOf(filter) }, 0);
    const first = snapshots.read('1h', all);
    void snapshots.read('1h', all);
    const failing = snapshots.read('15m', all);
    expect(reads.map(({ range }) => range)).toEqual(['1h', '15m']);
    reads[0]?.end();
    expect(await first).toMatchObject({ range: '1h', filter: all });
    void snapshots.read('1h', all);
    reads[1]?.fail();
    await expect(failing).rejects.toThrow('away');
    void snapshots.read('15m', all);
    expect(reads.map(({ range }) => range)).toEqual(['1h', '15m', '1h', '15m']);
  });

  it('reads what filters ask for one after another, each once for all pages, and the common part as often as without', async () => {
    const reads: { readonly tier: string | null; readonly end: () => void }[] = [];
    let commons = 0;
    const reader: SnapshotReader = {
      common: async (range) => {
        commons += 1;
        return { range } as Snapshot;
      },
      filtered: async (_, filter) =>
        new Promise((resolve) => reads.push({ tier: filter.tier, end: () => resolve(blocksOf(filter)) })),
    };
    const snapshots = sharedSnapshots(reader, 60_000);
    const pages = ['a', 'b', 'a', 'c'].map(async (tier) => snapshots.read('1h', { tier, action: null }));
    for (const [index, tier] of ['a', 'b', 'c'].entries()) {
      await expect.poll(() => reads.map((read) => read.tier)).toEqual(['a', 'b', 'c'].slice(0, index + 1));
      expect(reads[index]?.tier).toBe(tier);
      reads[index]?.end();
    }
    expect((await Promise.all(pages)).map(({ filter }) => filter.tier)).toEqual(['a', 'b', 'a', 'c']);
    expect([reads.length, commons]).toEqual([3, 1]);
  });
});
