import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { definePolicy } from '../policy.ts';
import { checkListEntry } from './entries.ts';
import { canonicalNetwork, compileGlob, networkTable, parseNetwork } from './matching.ts';
import { entriesFor, liveTable } from './table.ts';

describe('a pattern', () => {
  const piece = fc.array(fc.constantFrom('a', 'b', '-', '.', '*'), { maxLength: 8 }).map((list) => list.join(''));
  const text = fc.array(fc.constantFrom('a', 'b', '-', '.'), { maxLength: 12 }).map((list) => list.join(''));

  it('matches as the regular expression does that says the same', () => {
    fc.assert(
      fc.property(piece, text, (pattern, candidate) => {
        const source = pattern
          .split('*')
          .map((part) => part.replaceAll('.', String.raw`\.`))
          .join('.*');
        const starred = `${pattern}*`;
        expect(compileGlob(starred).matches(candidate)).toBe(new RegExp(`^${source}.*$`).test(candidate));
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes no more time for a hostile pattern and text', () => {
    expect(compileGlob(`${'a*'.repeat(500)}b`).matches('a'.repeat(1_024))).toBe(false);
  });
});

describe('a network', () => {
  it('has one text however it is written', () => {
    const texts = ['10.1.2.3/8', '::ffff:10.0.0.0/104', 'ip:10.0.0.0/8'];
    for (const text of texts) expect(canonicalNetwork(parseNetwork(text) ?? expect.fail())).toBe('10.0.0.0/8');
    expect(canonicalNetwork(parseNetwork('2001:DB8:0::1') ?? expect.fail())).toBe('2001:db8::1');
  });

  it('of a longer prefix counts before one of a shorter', () => {
    const table = networkTable(
      new Map([
        ['10.0.0.0/8', 1],
        ['10.1.0.0/16', 2],
        ['10.1.1.1', 3],
      ]),
    );
    expect(['10.2.0.1', '10.1.0.1', '10.1.1.1', '11.0.0.0'].map((ip) => table.find(`ip:${ip}`))).toEqual([
      1,
      2,
      3,
      undefined,
    ]);
  });

  it('is no match for a subject that reaches beyond it, nor for what is no address', () => {
    const table = networkTable(new Map([['2001:db8:0:4500::1', 1]]));
    expect(table.find('ip:2001:db8:0:4500::/56')).toBeUndefined();
    expect(table.find('ip:2001:db8:0:4500::1')).toBe(1);
    for (const subject of ['', 'ip:', '1.2.3.4/99', '01.2.3.4', 'a/b']) expect(table.find(subject)).toBeUndefined();
  });
});

describe('a list of networks', () => {
  // A user who had registered as "10.1.2.3" had no limits: the office's network was allowed.
  it('says nothing of a user who is named like an address', () => {
    const table = liveTable({
      policies: [],
      overrides: [],
      allowed: ['10.0.0.0/8', '192.0.2.1', '2001:db8::/32'],
      denied: [],
      blocked: [],
    });
    const users = ['10.1.2.3', '192.0.2.1', '2001:db8::1', '10.0.0.0/8', 'user:10.1.2.3', 'IP:10.1.2.3'];
    expect(users.map((user) => table.listed(user))).toEqual(users.map(() => undefined));
    const addresses = ['ip:10.1.2.3', 'ip:192.0.2.1', 'ip:2001:db8:0:100::/56'];
    expect(addresses.map((address) => table.listed(address)?.verdict)).toEqual(['allow', 'allow', 'allow']);
  });

  it.each(['2001:db8:1:2::99', '2001:db8:7:2::/64', '2001:db8::/57'])(
    'refuses %s, which is less than one client, and names what to write',
    (entry) => {
      expect(() => checkListEntry(entry)).toThrow(/would match no subject.*Name "2001:db8:.*\/56", or "ip:2001:db8:/);
    },
  );

  it('takes one address as the subject that an identify with a longer prefix makes of it', () => {
    const entry = checkListEntry('ip:2001:DB8:1:2:0::99');
    expect([entry, checkListEntry(entry)]).toEqual(['ip:2001:db8:1:2::99', 'ip:2001:db8:1:2::99']);
    const table = liveTable({ policies: [], overrides: [], allowed: [], denied: [entry], blocked: [] });
    expect(table.listed('ip:2001:db8:1:2::99')).toEqual({ verdict: 'deny' });
    expect(table.listed('ip:2001:db8:1::/56')).toBeUndefined();
  });

  it.each([
    ['64:ff9b::192.0.2.0/120', '192.0.2.0/24'],
    ['2002:c000:200::/40', '192.0.2.0/24'],
    ['2002:c000:201::/48', '192.0.2.1'],
    ['2001::/16', '2001::/16'],
  ])('counts %s as the clients in it are counted', (entry, stored) => {
    expect(checkListEntry(entry)).toBe(stored);
  });

  it.each(['64:ff9b::/96', '2002::/16', '2001::/32', '::ffff:0:0/96'])('refuses %s: all of IPv4 at once', (entry) => {
    expect(() => checkListEntry(entry)).toThrow('entry must hold addresses and CIDRs');
  });
});

describe('what holds for a subject', () => {
  it('is the very same object each time, so that requests of one batch share their description', () => {
    const base = definePolicy({ name: 'p', limit: 10, windowMs: 1_000 });
    const overrides = [{ policy: 'p', subject: 'a*', limit: 20 }];
    const table = liveTable({ policies: [], overrides, allowed: [], denied: [], blocked: [] });
    expect(table.resolve(base, 'a1')).toBe(table.resolve(base, 'a2'));
    expect(table.resolve(base, 'b')).toBe(base);
  });
});

describe('the entries of a subject', () => {
  const entries = ['a', 'aa', 'a*', '*a', '*', 'ip:*', 'ip:10.0.0.7', '10.0.0.7', '10.0.0.0/8', '10.0.0.0/7', '*.*'];
  const piece = fc.constantFrom(...entries);
  const subjects = fc.constantFrom('a', 'aa', '.', 'ip:10.0.0.7', '10.0.0.7', 'ip:11.0.0.1');

  it('are there where the lists and overrides say something of it, the override that holds first', () => {
    const base = definePolicy({ name: 'p', limit: 100, windowMs: 1_000 });
    const texts = fc.uniqueArray(piece, { maxLength: 5 });
    fc.assert(
      fc.property(texts, texts, subjects, (patterns, denied, subject) => {
        const overrides = patterns.map((pattern, index) => ({ policy: 'p', subject: pattern, limit: index + 1 }));
        const all = { policies: [base], plans: [], presets: [], overrides, allowed: [], denied, blocked: [] };
        const table = liveTable(all);
        const found = entriesFor(all, subject);
        expect(found.denied.length > 0).toBe(table.listed(subject) !== undefined);
        expect(found.overrides[0]?.limit ?? 100).toBe(table.resolve(base, subject).limit);
      }),
    );
  });

  it('are all that fit: several patterns, a network, its block, of each policy', () => {
    const subject = 'ip:10.0.0.7';
    const overrides = ['*', 'ip:10.*', subject, 'ip:11.*'].map((text) => ({ policy: 'p', subject: text, limit: 1 }));
    const blocked = [subject, 'ip:10.0.0.8'].map((text) => ({ subject: text, blockedUntilMs: Infinity }));
    const all = { policies: [], overrides, allowed: ['10.0.0.0/8', '11.0.0.0/8'], denied: ['ip:*', 'x'], blocked };
    expect(entriesFor(all, subject)).toEqual({
      overrides: [subject, 'ip:10.*', '*'].map((text) => ({ policy: 'p', subject: text, limit: 1 })),
      allowed: ['10.0.0.0/8'],
      denied: ['ip:*'],
      blocked: [{ subject, blockedUntilMs: Infinity }],
    });
  });
});
