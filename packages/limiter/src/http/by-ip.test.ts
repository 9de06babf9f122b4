import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseWritten } from '../addresses.ts';
import { LimiterInputError } from '../errors.ts';
import { byIp, type ByIpOptions, nodeAddress } from './by-ip.ts';

const PROXIES = ['10.0.0.0/8', '192.0.2.7', '2001:db8:aaaa::/48'];

interface Call {
  readonly from: string | undefined;
  readonly forwarded?: string;
  readonly options?: Partial<ByIpOptions>;
}

function subjectOf({ from, forwarded, options = {} }: Call): string | undefined {
  const { header = 'x-forwarded-for' } = options;
  const request = new Request('http://test/', forwarded === undefined ? {} : { headers: { [header]: forwarded } });
  return byIp({ remoteAddress: () => from, trustedProxies: PROXIES, ...options })(request);
}

/** The subject of an address that calls by itself. */
const alone = (from: string): string | undefined => subjectOf({ from, options: { trustedProxies: [] } });

/** The error of building one with options that types would refuse. */
function problemOf(options: object): unknown {
  try {
    byIp({ remoteAddress: () => undefined, ...options } as ByIpOptions);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('byIp: whom it believes', () => {
  it('takes the address of the connection when no proxy is trusted, whatever the header says', () => {
    const options = { trustedProxies: [] };
    expect(subjectOf({ from: '10.0.0.1', forwarded: '203.0.113.9', options })).toBe('ip:10.0.0.1');
  });

  it('does not believe a header that an untrusted peer sends', () => {
    expect(subjectOf({ from: '198.51.100.1', forwarded: '203.0.113.9' })).toBe('ip:198.51.100.1');
  });

  it('finds the client behind a chain of two trusted proxies, and not what the client claims', () => {
    const forwarded = '127.0.0.1, 203.0.113.9, 192.0.2.7';
    expect(subjectOf({ from: '10.1.2.3', forwarded })).toBe('ip:203.0.113.9');
  });

  it('trusts IPv6 proxies, mapped addresses of IPv4 proxies, and lists of mapped ones', () => {
    expect(subjectOf({ from: '2001:db8:aaaa::1', forwarded: '203.0.113.9' })).toBe('ip:203.0.113.9');
    expect(subjectOf({ from: '::ffff:10.0.0.1', forwarded: '203.0.113.9' })).toBe('ip:203.0.113.9');
    const options = { trustedProxies: ['::ffff:10.0.0.0/104'] };
    expect(subjectOf({ from: '10.9.9.9', forwarded: '203.0.113.9', options })).toBe('ip:203.0.113.9');
    expect(subjectOf({ from: '11.9.9.9', forwarded: '203.0.113.9', options })).toBe('ip:11.9.9.9');
  });

  it('reads the header it is told to', () => {
    const options = { header: 'CF-Connecting-IP' };
    expect(subjectOf({ from: '10.0.0.1', forwarded: '203.0.113.9', options })).toBe('ip:203.0.113.9');
  });

  it('stays on the farthest proxy when all are trusted or the header is missing', () => {
    expect(subjectOf({ from: '10.0.0.1', forwarded: '10.0.0.3, 10.0.0.2' })).toBe('ip:10.0.0.3');
    expect(subjectOf({ from: '10.0.0.1' })).toBe('ip:10.0.0.1');
  });

  it('identifies nobody when the connection has no address', () => {
    expect(subjectOf({ from: undefined, forwarded: '203.0.113.9' })).toBeUndefined();
    expect(subjectOf({ from: 'unix', forwarded: '203.0.113.9' })).toBeUndefined();
  });

  it.each([
    'unknown',
    '',
    ' ',
    '1.2.3',
    '0x7f.0.0.1',
    '010.0.0.1',
    '2130706433',
    '1.2.3.4.5',
    '[1.2.3.4]',
    '[::1',
    '::1]',
  ])('ends on the last good hop at the entry "%s"', (garbage) => {
    expect(subjectOf({ from: '10.0.0.1', forwarded: `203.0.113.9, ${garbage}, 10.0.0.2` })).toBe('ip:10.0.0.2');
  });

  it('looks at no more than 32 hops and no entry beyond 128 characters', () => {
    const endless = `203.0.113.9${', 10.0.0.2'.repeat(100_000)}`;
    expect(subjectOf({ from: '10.0.0.1', forwarded: endless })).toBe('ip:10.0.0.2');
    const justEnough = `203.0.113.9${', 10.0.0.2'.repeat(31)}`;
    expect(subjectOf({ from: '10.0.0.1', forwarded: justEnough })).toBe('ip:203.0.113.9');
    for (const filler of [' ', '1', ':']) {
      const wide = `203.0.113.9,${filler.repeat(1_000_000)}198.51.100.1`;
      expect(subjectOf({ from: '10.0.0.1', forwarded: wide })).toBe('ip:10.0.0.1');
    }
  });

  it('is not moved by anything left of the rightmost untrusted hop', () => {
    const proxies = fc.array(fc.constantFrom('10.0.0.2', '192.0.2.7', '[2001:db8:aaaa::5]:443'), { maxLength: 5 });
    // Judged by what it reads as: a mapped address of a proxy is that proxy.
    const client = fc
      .oneof(fc.ipV4(), fc.ipV6())
      .filter((address) => !/^ip:(10\.|192\.0\.2\.7$|2001:db8:aaaa:)/.test(alone(address) ?? 'ip:10.'));
    const claim = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom('10.0.0.9', '', ','),
      fc.stringMatching(/^[ -~]{0,40}$/),
    );
    fc.assert(
      fc.property(proxies, client, fc.array(claim, { minLength: 1, maxLength: 8 }), (chain, address, claims) => {
        const honest = [address, ...chain].join(', ');
        const expected = alone(address);
        expect(subjectOf({ from: '10.0.0.1', forwarded: honest })).toBe(expected);
        expect(subjectOf({ from: '10.0.0.1', forwarded: `${claims.join(', ')}, ${honest}` })).toBe(expected);
      }),
    );
  });
});

describe('byIp: how it writes addresses', () => {
  it.each([
    ['198.51.100.1:4711', 'ip:198.51.100.1'],
    ['::ffff:198.51.100.1', 'ip:198.51.100.1'],
    ['::FFFF:c633:6401', 'ip:198.51.100.1'],
    ['[::ffff:198.51.100.1]:80', 'ip:198.51.100.1'],
    ['[2001:DB8:0:4567::1]:443', 'ip:2001:db8:0:4500::/56'],
    ['[2001:db8:0:4567::1]', 'ip:2001:db8:0:4500::/56'],
    ['2001:0db8:0000:45ff:ffff:ffff:ffff:ffff', 'ip:2001:db8:0:4500::/56'],
    ['fe80::1%eth0', 'ip:fe80::/56'],
    ['[fe80::1%25]:80', 'ip:fe80::/56'],
  ])('writes %s as %s', (address, expected) => {
    expect(subjectOf({ from: address })).toBe(expected);
    expect(subjectOf({ from: '10.0.0.1', forwarded: address })).toBe(expected);
  });

  it('counts a /56 as one client and its neighbour as another', () => {
    const [first, last, neighbour] = ['2001:db8:1:ff00::1', '2001:db8:1:ffff::9', '2001:db8:2::1'].map((from) =>
      subjectOf({ from }),
    );
    expect(last).toBe(first);
    expect(neighbour).not.toBe(first);
  });

  it.each([
    [1, 'ip:8000::/1'],
    [16, 'ip:ffff::/16'],
    [60, 'ip:ffff:ffff:ffff:fff0::/60'],
    [128, 'ip:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])('cuts IPv6 to a prefix of %i bits', (ipv6Prefix, expected) => {
    expect(subjectOf({ from: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', options: { ipv6Prefix } })).toBe(expected);
  });
});

describe('byIp: IPv4 inside IPv6', () => {
  it.each([
    ['::ffff:192.0.2.1', 'mapped'],
    ['::ffff:0:192.0.2.1', 'translated (SIIT)'],
    ['64:ff9b::192.0.2.1', 'NAT64'],
    ['64:ff9b:1::192.0.2.1', 'NAT64 of a local prefix'],
    ['64:ff9b:1:7:0:0:192.0.2.1', 'NAT64 of another local prefix'],
    ['2002:c000:201::5', '6to4'],
    ['2002:c000:201:ffff::1', '6to4, another network of its owner'],
    ['2001:0:4136:e378:8000:63bf:3fff:fdfe', 'Teredo'],
  ])('counts %s as its IPv4 address: %s', (address) => {
    expect(alone(address)).toBe('ip:192.0.2.1');
  });

  it('keeps apart the clients of one translator, and behind a proxy too', () => {
    expect(alone('64:ff9b::198.51.100.7')).toBe('ip:198.51.100.7');
    expect(subjectOf({ from: '64:ff9b::10.0.0.1', forwarded: '64:ff9b::203.0.113.9' })).toBe('ip:203.0.113.9');
  });

  it('leaves neighbours of these prefixes alone', () => {
    expect(alone('64:ff9c::192.0.2.1')).toBe('ip:64:ff9c::/56');
    expect(alone('2001:1::1')).toBe('ip:2001:1::/56');
    expect(alone('64:ff9b:2::1')).toBe('ip:64:ff9b:2::/56');
  });
});

describe('byIp: a Unix socket', () => {
  const options = { trustedProxies: ['127.0.0.1'] };

  it('is a proxy of this machine, where that is trusted', () => {
    expect(subjectOf({ from: undefined, forwarded: '203.0.113.9', options })).toBe('ip:203.0.113.9');
    const both = { trustedProxies: ['::1', '10.0.0.0/8'] };
    expect(subjectOf({ from: undefined, forwarded: '203.0.113.9, 10.0.0.1', options: both })).toBe('ip:203.0.113.9');
  });

  it('identifies nobody where the machine is not trusted, or the proxy names nobody', () => {
    expect(subjectOf({ from: undefined, forwarded: '203.0.113.9' })).toBeUndefined();
    expect(subjectOf({ from: undefined, options })).toBeUndefined();
    expect(subjectOf({ from: undefined, forwarded: 'unknown', options })).toBeUndefined();
  });

  // A client that hangs up early would otherwise choose by a header whom it is counted as.
  it('is not what a connection is taken for whose address is forgotten', () => {
    expect(subjectOf({ from: '', forwarded: '203.0.113.9', options })).toBeUndefined();
    const from = nodeAddress({ remoteAddress: undefined, destroyed: true });
    expect(subjectOf({ from, forwarded: '203.0.113.9', options })).toBeUndefined();
  });
});

describe('byIp: what it refuses at construction', () => {
  // Misspelt, no proxy was trusted and all clients behind it were one.
  it('refuses an option that it does not know', () => {
    expect(String(problemOf({ trustProxies: ['10.0.0.0/8'] }))).toContain('options.trustProxies is not an option');
  });

  it.each([
    [{ trustedProxies: ['10.0.0.0/33'] }, /^trustedProxies must hold .*not "10\.0\.0\.0\/33"$/],
    [{ trustedProxies: ['10.0.0.0/8', '::/129'] }, /^trustedProxies .*"::\/129"$/],
    [{ trustedProxies: ['0.0.0.0/0'] }, /^trustedProxies .*"0\.0\.0\.0\/0"$/],
    [{ trustedProxies: ['::ffff:10.0.0.0/90'] }, /^trustedProxies .*"::ffff:10\.0\.0\.0\/90"$/],
    [{ trustedProxies: ['10.0.0.0/'] }, /^trustedProxies .*"10\.0\.0\.0\/"$/],
    [{ trustedProxies: ['10.0.0.0/8/8'] }, /^trustedProxies .*"10\.0\.0\.0\/8\/8"$/],
    [{ trustedProxies: ['10.1'] }, /^trustedProxies .*"10\.1"$/],
    [{ trustedProxies: [10] }, /^trustedProxies .*not 10$/],
    [{ trustedProxies: '10.0.0.0/8' }, /^trustedProxies must be a list, not "10\.0\.0\.0\/8"$/],
    [{ ipv6Prefix: 0 }, /^ipv6Prefix .*not 0$/],
    [{ ipv6Prefix: 129 }, /^ipv6Prefix .*not 129$/],
    [{ ipv6Prefix: 56.5 }, /^ipv6Prefix .*not 56\.5$/],
    [{ header: 'x forwarded' }, /^header .*not "x forwarded"$/],
    [{ header: 'Forwarded' }, /^header .*"Forwarded"/],
    [{ remoteAddress: '10.0.0.1' }, /^remoteAddress must be a function, not "10\.0\.0\.1"$/],
  ])('refuses %j, naming option and value', (options, message) => {
    const error = problemOf(options);
    expect(error).toBeInstanceOf(LimiterInputError);
    expect(String(error)).toMatch(new RegExp(`LimiterInputError: ${message.source.slice(1)}`));
  });
});

it('takes exactly those texts for addresses that Node does', () => {
  const part = fc.constantFrom(
    '0',
    '00',
    '1',
    '010',
    '99',
    '255',
    '256',
    'ffff',
    '0ffff',
    'fe80',
    '1.2.3.4',
    '1.2.3.04',
    '',
    'g',
  );
  const texts = fc.oneof(
    fc.array(part, { minLength: 1, maxLength: 9 }).map((parts) => parts.join(':')),
    fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.')),
    fc.stringMatching(/^[0-9abf:.x% ]{0,20}$/u),
    fc.ipV4(),
    fc.ipV6(),
  );
  fc.assert(
    fc.property(texts, (text) => {
      expect([text, parseWritten(text) !== undefined]).toEqual([text, isIP(text) !== 0]);
    }),
    { numRuns: 5_000 },
  );
});
