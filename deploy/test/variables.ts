import { readFile } from 'node:fs/promises';
import { repository } from './deploy-file.ts';

/** The variables that a package's `config.ts`, and nothing else, reads. */
export async function variablesOf(config: string): Promise<string[]> {
  const source = await readFile(`${repository}${config}`, 'utf8');
  const found = [...source.matchAll(/^\s+([A-Z][A-Z\d_]+): /gmu)].flatMap(([, name]) =>
    name === undefined ? [] : [name],
  );
  return [...new Set(found)];
}
