import { expect, it } from 'vitest';
import * as exported from './index.ts';

it('exports exactly this', () => {
  expect(Object.keys(exported).toSorted()).toEqual([
    'ConfigError',
    'ListenError',
    'apiOptions',
    'createApp',
    'createLogger',
    'keyDirectory',
    'readConfig',
    'serve',
    'startApi',
  ]);
});
