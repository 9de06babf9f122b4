import { expect, it } from 'vitest';
import { FleetSimulation } from '../../test/fleet-simulation.ts';

/*
 * Whole fleets on virtual time, by seed. A failing seed is printed; `SEED=123 pnpm vitest run simulation` replays it alone.
 * FROM and SCHEDULES say which others to try: what is not known to pass has no place in a check of something else.
 */
const { SEED, FROM = '1', SCHEDULES = '3000' } = process.env;
const first = Number(SEED ?? FROM);
const count = SEED === undefined ? Number(SCHEDULES) : 1;

it(
  `keeps every invariant and comes to agree, in ${count} schedules from seed ${first}`,
  { timeout: 300_000 },
  async () => {
    // Refusals are errors by the hundred thousand, and nobody reads where they were made.
    Error.stackTraceLimit = 0;
    const failures: string[] = [];
    const kinds = new Set<string>();
    for (let seed = first; seed < first + count && failures.length < 5; seed += 1) {
      const report = await new FleetSimulation(seed).run();
      for (const kind of report.kinds) kinds.add(kind);
      const [violation] = report.violations;
      if (violation !== undefined) failures.push(`SEED=${seed}: ${violation} (${report.violations.length} in all)`);
    }
    expect(failures).toEqual([]);
    if (count < 100) return;
    const reached = ['closed', 'emptied', 'forced_closed', 'half_open', 'older', 'probes expired'];
    expect([...kinds]).toEqual(expect.arrayContaining(reached));
  },
);

it('goes the same way twice', async () => {
  const [one, other] = [await new FleetSimulation(7).run(), await new FleetSimulation(7).run()];
  expect(one).toEqual(other);
  expect(one.calls).toBeGreaterThan(100);
});
