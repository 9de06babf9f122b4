import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { markdownTable } from '../markdown.ts';
import { archival } from './archival.ts';
import { metricStats } from './metric-stats.ts';

/** Measures maintenance on embedded Postgres, prints the page and writes it to bench/maintenance.md. */
const moved = await archival();
const stats = await metricStats();
const archivalTable = markdownTable(
  [
    ['rows a batch', 'right'],
    ['rows', 'right'],
    ['rows/s', 'right'],
    ['longest batch ms', 'right'],
  ],
  moved.map(({ batchSize, rows, rowsPerSecond, longestBatchMs }) => [
    batchSize.toLocaleString('en'),
    rows.toLocaleString('en'),
    Math.round(rowsPerSecond).toLocaleString('en'),
    String(longestBatchMs),
  ]),
);
const statsTable = markdownTable(
  [
    ['read from', 'left'],
    ['hours', 'right'],
    ['samples in the window', 'right'],
    ['median ms', 'right'],
  ],
  stats.results.map(({ what, hours, samplesInWindow, medianMs }) => [
    what,
    String(hours),
    samplesInWindow.toLocaleString('en'),
    medianMs.toFixed(1),
  ]),
);
const text = `# Benchmarks of maintenance

\`npx pnpm@12 bench:maintenance\` writes this page: one Node process, one embedded Postgres.

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}

## Archival

A million rows of \`api_call_logs\` move into their monthly partitions: pick, delete and store in one statement a batch, fsync
on, one connection. 5,000 a batch is the default.

${archivalTable}

## Statistics of a metric

\`get_metric_stats()\` with ten million samples of one metric, nine of them in the last 24 hours.

${statsTable}

Counting the samples, without rollups:

\`\`\`
${stats.planBefore}
\`\`\`

The function, with them:

\`\`\`
${stats.planAfter}
\`\`\`
`;
console.log(text);
await writeFile(new URL('../../maintenance.md', import.meta.url), text);
