import { describe, expect, it } from 'vitest';
import { parseRedisUrl } from './redis-url.ts';

describe('parseRedisUrl', () => {
  it.each([
    ['redis://me:s3cret@cache/1', { kind: 'server', url: 'redis://me:s3cret@cache/1' }],
    [
      'redis-cluster://a,b:7000',
      {
        kind: 'cluster',
        nodes: [
          { host: 'a', port: 6_379 },
          { host: 'b', port: 7_000 },
        ],
        tls: false,
      },
    ],
    [
      'rediss-cluster://me:s%40cret@[::1]:7000',
      { kind: 'cluster', nodes: [{ host: '::1', port: 7_000 }], tls: true, username: 'me', password: 's@cret' },
    ],
    [
      'redis-sentinel://:s3cret@a,b:26380/main.1/2',
      {
        kind: 'sentinel',
        sentinels: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 26_380 },
        ],
        name: 'main.1',
        db: 2,
        tls: false,
        password: 's3cret',
      },
    ],
    [
      'rediss-sentinel://a/main',
      { kind: 'sentinel', sentinels: [{ host: 'a', port: 26_379 }], name: 'main', db: 0, tls: true },
    ],
  ])('reads %s', (url, target) => {
    expect(parseRedisUrl(url)).toEqual(target);
  });

  it.each([
    'localhost:6379',
    'redis://',
    'http://a',
    'redis-cluster://',
    'redis-cluster://a,',
    'redis-cluster://a/0',
    'redis-cluster://a:70000',
    'redis-cluster://a:x',
    'redis-sentinel://a',
    'redis-sentinel://a/',
    'redis-sentinel://a/main/x',
    'redis-sentinel://a b/main',
    'redis-cluster://me:%zz@a',
  ])('makes nothing of %j', (url) => {
    expect(parseRedisUrl(url)).toBeUndefined();
  });
});
