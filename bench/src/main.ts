import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { apiSection } from './api/api-section.ts';
import { auditSection } from './audit/audit-section.ts';
import { breakerSection } from './breaker/breaker-section.ts';
import { chartOf } from './chart.ts';
import { clusterSection } from './cluster/cluster-section.ts';
import { growthSection } from './growth/growth-section.ts';
import { httpSection } from './http/http-section.ts';
import { inProcessSection } from './limiter/in-process-section.ts';
import { limiterSection } from './limiter/limiter-section.ts';
import { maintenanceSection } from './maintenance/maintenance-section.ts';
import { chartName, page } from './page.ts';
import { readRuns, saveRun } from './results.ts';
import type { Section } from './section.ts';

/*
 * Measures the sections named on the command line, or all, keeps what they found in bench/results, and writes the page
 * and the charts anew from all that is kept.
 */
const sections: readonly Section[] = [
  limiterSection,
  auditSection,
  inProcessSection,
  breakerSection,
  httpSection,
  apiSection,
  maintenanceSection,
  growthSection,
  clusterSection,
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !sections.some((section) => section.name === name));
if (unknown.length > 0) {
  console.error(`unknown section ${unknown.join(', ')}: there are ${sections.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

for (const { name, title, measure } of sections) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.error(`measuring ${name} …`);
  const [load = 0] = loadavg();
  const findings = await measure();
  await saveRun(name, {
    title,
    date: new Date().toISOString().slice(0, 10),
    machine: `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, load average ${load.toFixed(1)} as it began`,
    ...findings,
  });
}

const runs = await readRuns();
await mkdir(new URL('../charts/', import.meta.url), { recursive: true });
for (const [name, { tables }] of runs) {
  for (const table of tables) {
    const svg = chartOf(table);
    if (svg !== undefined) await writeFile(new URL(`../charts/${chartName(name, table)}`, import.meta.url), svg);
  }
}
const text = page(runs);
await writeFile(new URL('../README.md', import.meta.url), text);
console.log(text);
