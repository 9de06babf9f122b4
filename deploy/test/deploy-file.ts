import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

/** Where the repository is. */
export const repository: string = fileURLToPath(new URL('../../', import.meta.url));

/** The path of a file below deploy/. */
export function deployPath(path: string): string {
  return `${repository}deploy/${path}`;
}

/** Its text. */
export async function deployText(path: string): Promise<string> {
  return readFile(deployPath(path), 'utf8');
}

/** The documents of a YAML file; throws for what YAML does not allow, a key twice included. */
export async function deployYaml<T>(path: string): Promise<T[]> {
  return parseAllDocuments(await deployText(path)).map((document) => {
    if ('errors' in document && document.errors.length > 0) throw document.errors[0];
    return document.toJS({ maxAliasCount: 100 }) as T;
  });
}

/** Paths of the files of a folder below deploy/. */
export async function deployFiles(folder: string, ending: string): Promise<string[]> {
  const files = await readdir(deployPath(folder));
  return files
    .filter((file) => file.endsWith(ending))
    .toSorted()
    .map((file) => `${folder}/${file}`);
}
