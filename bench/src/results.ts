import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import type { Run } from './section.ts';

const folder = new URL('../results/', import.meta.url);

/** Keeps what a section found, as `results/NAME.json`. */
export async function saveRun(name: string, run: Run): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify(run, undefined, 2)}\n`);
}

/** The runs that were kept, by section. */
export async function readRuns(from: URL = folder): Promise<ReadonlyMap<string, Run>> {
  const files = (await readdir(from)).filter((file) => file.endsWith('.json')).toSorted();
  const runs = await Promise.all(
    files.map(async (file): Promise<[string, Run]> => [
      file.replace(/\.json$/, ''),
      JSON.parse(await readFile(new URL(file, from), 'utf8')),
    ]),
  );
  return new Map(runs);
}
