import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { missingPackages } from '@spillway/local-servers';
import { auditSection } from './audit/audit-section.ts';
import { breakerSection } from './breaker/breaker-section.ts';
import { withFigures } from './compared.ts';
import { dashboardSection } from './dashboard/dashboard-section.ts';
import { fleetSection } from './fleet/fleet-section.ts';
import { apiSection } from './http/api-section.ts';
import { httpSection } from './http/http-section.ts';
import { clusterSection } from './limiter/cluster-section.ts';
import { inProcessSection } from './limiter/in-process-section.ts';
import { limiterSection } from './limiter/limiter-section.ts';
import { growthSection } from './maintenance/growth-section.ts';
import { maintenanceSection } from './maintenance/maintenance-section.ts';
import { chartName, chartOf, page } from './page.ts';
import { readRuns, type Run, saveRun, watchMachine } from './results.ts';
import { type Effort, quickEffort, type Section, wholeEffort } from './section.ts';

/*
 * Measures the sections named on the command line, or all, keeps what they found in bench/results, and writes the page, the
 * charts and the figures of README and docs/ from all that is kept. With `--quick` it keeps and writes nothing, and prints what it found.
 */
const sections: readonly Section[] = [
  limiterSection,
  inProcessSection,
  breakerSection,
  fleetSection,
  httpSection,
  auditSection,
  maintenanceSection,
  growthSection,
  dashboardSection,
  apiSection,
  clusterSection,
];

const place = (path: string): URL => new URL(`../../${path}`, import.meta.url);
const args = process.argv.slice(2);
const quick = args.includes('--quick');
const wanted = args.filter((arg) => arg !== '--quick');
const unknown = wanted.filter((name) => !sections.some((section) => section.name === name));
if (unknown.length > 0) {
  console.error(`unknown section ${unknown.join(', ')}: there are ${sections.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const measured = new Map<string, Run>();
for (const section of sections) {
  const { name } = section;
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const missing = await missingPackages(section.needs ?? []);
  if (missing !== undefined) {
    console.error(`${name} is left out: ${missing}`);
    process.exitCode = 1;
    continue;
  }
  console.error(`measuring ${name} …`);
  try {
    const run = await runOf(section, quick ? quickEffort : wholeEffort);
    console.error(`  took ${Math.round(run.tookSeconds ?? 0)} s`);
    measured.set(name, run);
    if (!quick) await saveRun(name, run);
  } catch (error) {
    // The others are worth having all the same.
    console.error(`  failed:`, error);
    process.exitCode = 1;
  }
}
if (!quick) {
  await writeFile(new URL('../README.md', import.meta.url), await kept());
  const pages = await withFigures((path) => readFile(place(path), 'utf8'), await readRuns());
  for (const [path, text] of pages) await writeFile(place(path), text);
}
console.log(page(measured));

async function runOf({ title, measure }: Section, effort: Effort): Promise<Run> {
  const before = await watchMachine();
  const startedAt = performance.now();
  const findings = await measure(effort);
  const tookSeconds = (performance.now() - startedAt) / 1_000;
  const after = await watchMachine();
  return {
    title,
    date: new Date().toISOString().slice(0, 10),
    machine: `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}`,
    tookSeconds,
    conditions: { before, after },
    ...findings,
  };
}

/** The page of all that is kept, its charts written beside it. */
async function kept(): Promise<string> {
  const runs = await readRuns();
  await mkdir(new URL('../charts/', import.meta.url), { recursive: true });
  for (const [name, { tables }] of runs) {
    for (const table of tables) {
      const svg = chartOf(table);
      if (svg !== undefined) await writeFile(new URL(`../charts/${chartName(name, table)}`, import.meta.url), svg);
    }
  }
  return page(runs);
}
