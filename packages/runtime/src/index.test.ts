import { expect, it } from 'vitest';
import * as exported from './index.ts';

it('exports exactly this', () => {
  expect(Object.keys(exported).toSorted()).toEqual([
    'ConfigError',
    'anyRedisUrl',
    'databaseServer',
    'describeError',
    'guardLogger',
    'hostName',
    'isRunning',
    'logLevel',
    'makeFolder',
    'maskValues',
    'namespace',
    'noteTrace',
    'onStopRequest',
    'postgresUrl',
    'processIdentity',
    'readEnvironment',
    'redisUrl',
    'shutDownInOrder',
    'startTelemetry',
    'takeTraces',
    'wholeNumber',
  ]);
});
