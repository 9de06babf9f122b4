import { expect, it } from 'vitest';
import * as exported from './index.ts';

it('exports exactly this', () => {
  expect(Object.keys(exported).toSorted()).toEqual([
    'ConfigError',
    'anyRedisUrl',
    'databaseServer',
    'describeError',
    'endAtStopRequest',
    'forgetTraces',
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
    'readTraces',
    'redisUrl',
    'shutDownInOrder',
    'startTelemetry',
    'wholeNumber',
  ]);
});
