import { expect, it } from 'vitest';
import * as telemetry from './index.ts';

it('exports exactly what its users need', () => {
  expect(Object.keys(telemetry).toSorted()).toMatchInlineSnapshot(`
    [
      "noteTrace",
      "startTelemetry",
      "takeTraces",
    ]
  `);
});
