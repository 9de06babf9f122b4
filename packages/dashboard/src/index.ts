import { fileURLToPath } from 'node:url';

export type {
  AlertState,
  BlockedState,
  BreakerState,
  CapacityState,
  DecisionPoint,
  JobState,
  Panel,
  RangeName,
  RatesState,
  Snapshot,
  TrailPoint,
  TrailState,
} from './snapshot.ts';
export { rangeNames, RANGES } from './snapshot.ts';

/** Where the built page lies: `index.html` and what it loads. Absent until the package was built. */
export const dashboardFolder: string = fileURLToPath(new URL('../dist/page/', import.meta.url));
