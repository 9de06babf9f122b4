import { expect, test } from 'vitest';
import * as exported from './index.ts';
import * as testing from './testing/index.ts';

test('the package exports exactly these names', () => {
  expect(Object.keys(exported).toSorted()).toEqual([
    'LocalServerError',
    'findFreePort',
    'missingPackages',
    'postgresImage',
    'redisImage',
    'resolveStack',
    'startPgBouncer',
    'startPostgres',
    'startRedis',
    'startRedisCluster',
    'startRedisSentinel',
  ]);
});

test('the testing subpath exports exactly these names', () => {
  expect(Object.keys(testing).toSorted()).toEqual([
    'compiled',
    'documentedRedisUser',
    'redisLibraries',
    'startProgram',
    'startReplicatedPostgres',
    'useLogins',
    'usePostgres',
    'useRedis',
    'workDirectoryRoot',
  ]);
});
